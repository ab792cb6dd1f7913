package torture

import (
	"net/http"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// Failures of the network. The clients, the proxy and Immich each run in their own network namespace, with a link between the
// clients and the proxy, and one between the proxy and Immich.

type network struct {
	access   *testbed.Link
	upstream *testbed.Link
}

const (
	delay = 50 * time.Millisecond // each way
	loss  = 0.1                   // percent
	pause = 3 * time.Second
)

func networkScenarios() []*scenario {
	return []*scenario{
		{
			name: "the clients are far away, and packets get lost", root: true, setUp: inNamespaces(),
			inject: func(s *testRun) { networkSlow(s, s.network.access) },
			expect: "a round trip of 100 ms, one of a thousand packets lost: everything is complete",
		},
		{
			name: "Immich is far away, and packets get lost", root: true, setUp: inNamespaces(),
			inject: func(s *testRun) { networkSlow(s, s.network.upstream) },
			expect: "a round trip of 100 ms, one of a thousand packets lost: everything is complete",
		},
		{
			name: "the clients' network is down for three seconds", root: true, setUp: inNamespaces(),
			inject: func(s *testRun) { networkPauses(s, s.network.access) },
			expect: "everything continues, and is complete",
		},
		{
			name: "the network to Immich is down for three seconds", root: true, setUp: inNamespaces(),
			inject: func(s *testRun) { networkPauses(s, s.network.upstream) },
			expect: "everything continues, and is complete",
		},
		{
			name: "the clients' network is down for longer than timeouts.idle", root: true, setUp: inNamespaces(shortTimeout),
			inject: clientsCut,
			expect: "the proxy ends all transfers, Immich sees that the uploads are not complete; everything works when the network is back",
		},
		{
			name: "the network to Immich is down for longer than the timeouts", root: true, setUp: inNamespaces(shortTimeout),
			inject: upstreamCut,
			expect: "uploads get 504, downloads are cut, the WebSocket ends, requests get 502 or 504; everything works when the network is back",
		},
	}
}

// inNamespaces starts everything in the three namespaces; with a duration, that is the proxy's timeout.
func inNamespaces(idle ...time.Duration) func(*testRun) {
	return func(s *testRun) {
		clients, proxy, immich := testbed.NewNamespace(s), testbed.NewNamespace(s), testbed.NewNamespace(s)
		s.network = network{testbed.Connect(s, clients, proxy), testbed.Connect(s, proxy, immich)}
		s.from = clients
		s.immich = testbed.StartImmich(s, immich)
		options := testbed.ProxyOptions{Namespace: proxy}
		for _, d := range idle {
			options.Arguments = []string{"--timeouts.idle=" + d.String(), "--timeouts.upstream=" + d.String()}
		}
		s.startProxy(options)
	}
}

func networkSlow(s *testRun, link *testbed.Link) {
	link.Slow(delay, loss)
	defer link.Slow(0, 0)
	tr := s.startTraffic()
	defer tr.stop()
	tr.wantComplete()
	tr.wantSocket()
}

func networkPauses(s *testRun, link *testbed.Link) {
	tr := s.startTraffic()
	defer tr.stop()
	link.Cut()
	time.Sleep(pause)
	link.Restore()
	tr.wantComplete()
	tr.wantSocket()
}

func clientsCut(s *testRun) {
	tr := s.startTraffic()
	s.network.access.Cut()
	tr.wantIncomplete()
	if !harness.Eventually(func() bool { transfers, sockets := s.proxy.Counted(s); return transfers == 0 && sockets == 0 }) {
		transfers, sockets := s.proxy.Counted(s)
		s.Errorf("the proxy keeps %d transfers and %d WebSockets", transfers, sockets)
	}
	tr.stop()
	for _, c := range s.clients { // Go's client of HTTP/2 can't abort a request on a connection that accepts no data
		c.CloseAll()
	}
	for _, u := range tr.uploads {
		s.checkUpload(u, u.Outcome(s, long))
	}
	for _, d := range tr.downloads {
		s.checkDownload(d, d.Outcome(s, long))
	}
	s.network.access.Restore()
	clear(s.clients) // the one of HTTP/3 would use its dead connection for some time
	s.startClients()
	s.wantStatus(testbed.Key, http.StatusOK)
}

func upstreamCut(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.network.upstream.Cut()
	for _, u := range tr.uploads {
		u.Release()
	}
	tr.wantRefused(long, http.StatusGatewayTimeout)
	tr.wantCut(long)
	tr.wantSocketEnded(long)
	s.wantStatus(testbed.Key, http.StatusBadGateway, http.StatusGatewayTimeout)
	s.network.upstream.Restore()
	s.awaitStatus(testbed.Key, http.StatusOK)
}
