package torture

import (
	"net/http"
	"time"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What can happen to the network. The clients, the proxy and Immich are each in a network namespace of their own, and there
// is one link from the clients to the proxy and one from it to Immich.

type network struct {
	access   *harness.Link
	upstream *harness.Link
}

const (
	delay = 50 * time.Millisecond // each way
	loss  = 0.1                   // percent
	pause = 3 * time.Second
)

func networkDays() []*badDay {
	return []*badDay{
		{
			name: "the clients are far away, and packets get lost", root: true, open: networked(),
			strike: func(s *scene) { networkSlow(s, s.network.access) },
			expect: "100 ms there and back, one of a thousand packets lost: everything is whole",
		},
		{
			name: "Immich is far away, and packets get lost", root: true, open: networked(),
			strike: func(s *scene) { networkSlow(s, s.network.upstream) },
			expect: "100 ms there and back, one of a thousand packets lost: everything is whole",
		},
		{
			name: "the network of the clients is cut for three seconds", root: true, open: networked(),
			strike: func(s *scene) { networkPauses(s, s.network.access) },
			expect: "everything goes on, and is whole",
		},
		{
			name: "the network to Immich is cut for three seconds", root: true, open: networked(),
			strike: func(s *scene) { networkPauses(s, s.network.upstream) },
			expect: "everything goes on, and is whole",
		},
		{
			name: "the network of the clients is cut for longer than timeouts.idle", root: true, open: networked(impatience),
			strike: clientsCut,
			expect: "the proxy gives all transfers up, Immich sees that the uploads are not complete; all is well when it is back",
		},
		{
			name: "the network to Immich is cut for longer than the timeouts", root: true, open: networked(impatience),
			strike: upstreamCut,
			expect: "uploads get 504, downloads are cut, the WebSocket ends, requests get 502 or 504; all is well when it is back",
		},
	}
}

// networked opens the three namespaces; with an idle time, the proxy does not wait for longer.
func networked(idle ...time.Duration) func(*scene) {
	return func(s *scene) {
		clients, proxy, immich := harness.NewNamespace(s), harness.NewNamespace(s), harness.NewNamespace(s)
		s.network = network{harness.Connect(s, clients, proxy), harness.Connect(s, proxy, immich)}
		s.from = clients
		s.immich = harness.StartImmich(s, immich)
		options := harness.ProxyOptions{Namespace: proxy}
		for _, d := range idle {
			options.Arguments = []string{"--timeouts.idle=" + d.String(), "--timeouts.upstream=" + d.String()}
		}
		s.openProxy(options)
	}
}

func networkSlow(s *scene, link *harness.Link) {
	link.Slow(delay, loss)
	defer link.Slow(0, 0)
	tr := s.begin()
	defer tr.end()
	tr.wantWhole()
	tr.wantSocket()
}

func networkPauses(s *scene, link *harness.Link) {
	tr := s.begin()
	defer tr.end()
	link.Cut()
	time.Sleep(pause)
	link.Mend()
	tr.wantWhole()
	tr.wantSocket()
}

func clientsCut(s *scene) {
	tr := s.begin()
	s.network.access.Cut()
	tr.wantIncomplete()
	if !harness.Eventually(func() bool { transfers, sockets := s.proxy.Counted(s); return transfers == 0 && sockets == 0 }) {
		transfers, sockets := s.proxy.Counted(s)
		s.Errorf("the proxy keeps %d transfers and %d WebSockets", transfers, sockets)
	}
	tr.end()
	for _, c := range s.clients { // Go's client of HTTP/2 can't leave a connection that takes nothing
		c.Sever()
	}
	for _, u := range tr.uploads {
		s.checkUpload(u, u.Outcome(s, long))
	}
	for _, d := range tr.downloads {
		s.checkDownload(d, d.Outcome(s, long))
	}
	s.network.access.Mend()
	clear(s.clients) // the one of HTTP/3 takes its connection for good for some time
	s.openClients()
	s.wantStatus(harness.Key, http.StatusOK)
}

func upstreamCut(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.network.upstream.Cut()
	for _, u := range tr.uploads {
		u.Release()
	}
	tr.wantRefused(long, http.StatusGatewayTimeout)
	tr.wantCut(long)
	tr.wantSocketEnded(long)
	s.wantStatus(harness.Key, http.StatusBadGateway, http.StatusGatewayTimeout)
	s.network.upstream.Mend()
	s.awaitStatus(harness.Key, http.StatusOK)
}
