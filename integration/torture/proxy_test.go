package torture

import (
	"net/http"
	"syscall"
	"time"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What can happen to the proxy's process.

func proxyDays() []*badDay {
	return []*badDay{
		{
			name: "the proxy is killed", quick: true, ended: true, strike: proxyKilled,
			expect: "every client sees an error, no upload is complete; a new proxy takes the same address at once",
		},
		{
			name: "the proxy is told to stop", quick: true, ended: true, strike: proxyStops,
			expect: "SIGTERM: nobody new is let in, what runs is whole, the WebSocket does not hold it up; exit code 0",
		},
		{
			name: "the proxy is told to stop twice", quick: true, ended: true, strike: proxyStopsTwice,
			expect: "two SIGTERMs: it ends at once, every client sees an error, no upload is complete; exit code 1",
		},
		{
			name: "the proxy is told to stop, and transfers last longer than timeouts.shutdown", ended: true,
			open:   func(s *scene) { s.openProxy(harness.ProxyOptions{Arguments: []string{"--timeouts.shutdown=2s"}}) },
			strike: proxyStopTakesTooLong,
			expect: "it ends when the time is over, every client sees an error, no upload is complete; exit code 1",
		},
		{
			name: "the proxy hangs for two seconds", quick: true, strike: proxyHangs,
			expect: "SIGSTOP and SIGCONT, as when a virtual machine is suspended: everything goes on, and is whole",
		},
	}
}

// restart has a new proxy serve at the old address.
func (s *scene) restart() {
	s.Helper()
	for _, c := range s.clients {
		c.Close()
	}
	s.proxy.Start(s)
}

// wantIncomplete wants Immich to have seen that no upload is whole.
func (tr *traffic) wantIncomplete() {
	tr.Helper()
	for _, u := range tr.uploads {
		if tr.immich.AwaitEnd(tr, u.Name) {
			tr.Errorf("Immich took %s for whole", u.Name)
		}
	}
}

func proxyKilled(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.proxy.Kill()
	tr.wantGone()
	s.restart()
}

// wantGone wants everything to have been cut off.
func (tr *traffic) wantGone() {
	tr.Helper()
	tr.wantSocketEnded(soon)
	tr.wantIncomplete()
	for _, t := range append(tr.uploads, tr.downloads...) {
		if t.Protocol == harness.HTTP3 {
			t.Abort() // nobody tells a client of QUIC that its server has been killed
		}
	}
	tr.wantFailed(long)
	tr.wantCut(long)
}

func proxyStops(s *scene) {
	tr := s.begin()
	defer tr.end()
	mark := s.proxy.Log.Mark()
	s.proxy.Signal(s, syscall.SIGTERM)
	s.proxy.Log.Await(s, mark, "stopping")
	s.wantNobodyNew()
	tr.wantWhole()
	if code := s.proxy.Exited(s, long); code != 0 {
		s.Errorf("exit code %d", code)
	}
	s.restart()
}

// wantNobodyNew wants new connections to be refused.
func (s *scene) wantNobodyNew() {
	s.Helper()
	for _, protocol := range []string{harness.HTTP1, harness.HTTP2} {
		late := s.gateway.Client(s, protocol, s.from)
		if !harness.Within(soon, func() bool { return late.Get("/api/server/ping", "", time.Second).Status == 0 }) {
			s.Errorf("%s: new connections are accepted", protocol)
		}
	}
}

func proxyStopsTwice(s *scene) {
	tr := s.begin()
	defer tr.end()
	mark := s.proxy.Log.Mark()
	s.proxy.Signal(s, syscall.SIGTERM)
	s.proxy.Log.Await(s, mark, "stopping")
	s.proxy.Signal(s, syscall.SIGTERM)
	if code := s.proxy.Exited(s, soon); code != 1 {
		s.Errorf("exit code %d", code)
	}
	tr.wantGone()
	s.restart()
}

func proxyStopTakesTooLong(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.proxy.Signal(s, syscall.SIGTERM)
	if code := s.proxy.Exited(s, long); code != 1 {
		s.Errorf("exit code %d", code)
	}
	tr.wantGone()
	s.restart()
}

func proxyHangs(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.proxy.Hang(s)
	time.Sleep(2 * time.Second)
	s.proxy.Continue(s)
	tr.wantWhole()
	tr.wantSocket()
	s.wantStatus(harness.Key, http.StatusOK)
}
