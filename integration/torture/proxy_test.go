package torture

import (
	"net/http"
	"syscall"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// Failures of the proxy's process.

func proxyScenarios() []*scenario {
	return []*scenario{
		{
			name: "the proxy is killed", quick: true, endsProxy: true, inject: proxyKilled,
			expect: "every client sees an error, no upload is complete; a new proxy can listen on the same address at once",
		},
		{
			name: "the proxy is told to stop", quick: true, endsProxy: true, inject: proxyStops,
			expect: "SIGTERM: new connections are refused, running transfers are completed, the WebSocket does not delay it; exit code 0",
		},
		{
			name: "the proxy is told to stop twice", quick: true, endsProxy: true, inject: proxyStopsTwice,
			expect: "two SIGTERMs: it ends at once, every client sees an error, no upload is complete; exit code 1",
		},
		{
			name: "the proxy is told to stop, and transfers last longer than timeouts.shutdown", endsProxy: true,
			setUp:  func(s *testRun) { s.startProxy(testbed.ProxyOptions{Arguments: []string{"--timeouts.shutdown=2s"}}) },
			inject: proxyStopTakesTooLong,
			expect: "it ends after that time, every client sees an error, no upload is complete; exit code 1",
		},
		{
			name: "the proxy hangs for two seconds", quick: true, inject: proxyHangs,
			expect: "SIGSTOP and SIGCONT, as when a virtual machine is suspended: everything continues, and is complete",
		},
	}
}

// restart starts the proxy again, at the same address.
func (s *testRun) restart() {
	s.Helper()
	for _, c := range s.clients {
		c.Close()
	}
	s.proxy.Start(s)
}

// wantIncomplete requires that Immich has seen that no upload is complete.
func (tr *traffic) wantIncomplete() {
	tr.Helper()
	for _, u := range tr.uploads {
		if tr.immich.AwaitEnd(tr, u.Name) {
			tr.Errorf("Immich took %s for complete", u.Name)
		}
	}
}

func proxyKilled(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.proxy.Kill()
	tr.wantEverythingCut()
	s.restart()
}

// wantEverythingCut requires that every transfer was cut.
func (tr *traffic) wantEverythingCut() {
	tr.Helper()
	tr.wantSocketEnded(soon)
	tr.wantIncomplete()
	for _, t := range append(tr.uploads, tr.downloads...) {
		if t.Protocol == harness.HTTP3 {
			t.Abort() // a QUIC client does not notice that its server was killed
		}
	}
	tr.wantFailed(long)
	tr.wantCut(long)
}

func proxyStops(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	mark := s.proxy.Log.Mark()
	s.proxy.Send(s, syscall.SIGTERM)
	s.proxy.Log.Await(s, mark, "stopping")
	s.wantNoNewConnections()
	tr.wantComplete()
	if code := s.proxy.ExitCode(s, long); code != 0 {
		s.Errorf("exit code %d", code)
	}
	s.restart()
}

// wantNoNewConnections requires that new connections are refused.
func (s *testRun) wantNoNewConnections() {
	s.Helper()
	for _, protocol := range []string{harness.HTTP1, harness.HTTP2} {
		late := s.gateway.Client(s, protocol, s.from)
		if !harness.Within(soon, func() bool { return late.Get("/api/server/ping", "", time.Second).Status == 0 }) {
			s.Errorf("%s: new connections are accepted", protocol)
		}
	}
}

func proxyStopsTwice(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	mark := s.proxy.Log.Mark()
	s.proxy.Send(s, syscall.SIGTERM)
	s.proxy.Log.Await(s, mark, "stopping")
	s.proxy.Send(s, syscall.SIGTERM)
	if code := s.proxy.ExitCode(s, soon); code != 1 {
		s.Errorf("exit code %d", code)
	}
	tr.wantEverythingCut()
	s.restart()
}

func proxyStopTakesTooLong(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.proxy.Send(s, syscall.SIGTERM)
	if code := s.proxy.ExitCode(s, long); code != 1 {
		s.Errorf("exit code %d", code)
	}
	tr.wantEverythingCut()
	s.restart()
}

func proxyHangs(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.proxy.Hang(s)
	time.Sleep(2 * time.Second)
	s.proxy.Continue(s)
	tr.wantComplete()
	tr.wantSocket()
	s.wantStatus(testbed.Key, http.StatusOK)
}
