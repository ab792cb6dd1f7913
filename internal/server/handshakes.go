package server

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// fewHandshakes is how many may be in progress before a client has to prove, with an additional round trip, that it receives
	// what is sent to its address.
	fewHandshakes = 64
	// crowdedIdleTimeout is how long a client may then send nothing. A handshake may take twice as long.
	crowdedIdleTimeout = 1500 * time.Millisecond
	// maxHandshakes is how many may be in progress in all, and of one client, since only their timeout ends them.
	maxHandshakes          = 768
	maxHandshakesPerClient = 512
)

// handshakes counts the QUIC handshakes that are not complete. Each costs some 50 KB, for a single datagram whose source
// address may be spoofed.
type handshakes struct {
	log *rareLog

	mu      sync.Mutex
	count   int
	clients map[netip.Prefix]int
}

func newHandshakes(log *rareLog) *handshakes {
	return &handshakes{log: log, clients: map[netip.Prefix]int{}}
}

// areMany is quic.Transport's VerifySourceAddress.
func (h *handshakes) areMany(net.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count >= fewHandshakes
}

// begin returns nil if there are too many.
func (h *handshakes) begin(address net.Addr) *handshake {
	client := clientPrefix(address)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count >= maxHandshakes || h.clients[client] >= maxHandshakesPerClient {
		h.log.warn("too many unfinished QUIC handshakes; new ones are refused for a while", "client", client)
		return nil
	}
	h.count++
	h.clients[client]++
	return &handshake{of: h, client: client}
}

type handshake struct {
	of     *handshakes
	client netip.Prefix
	once   sync.Once
}

func (s *handshake) end() {
	s.once.Do(func() {
		h := s.of
		h.mu.Lock()
		defer h.mu.Unlock()
		h.count--
		if h.clients[s.client]--; h.clients[s.client] == 0 {
			delete(h.clients, s.client)
		}
	})
}
