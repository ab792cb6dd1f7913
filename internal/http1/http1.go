// Package http1 serves what most requests for photos are, at less cost than net/http: GET and HEAD without a body, in their usual form,
// on connections of HTTP/1.1 that are kept. The first request of a connection is read by net/http, which also does TLS. Its handler here
// takes the connection over, and gives it back, for good, at the first request that is anything else.
package http1

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/handover"
)

// Server serves the plain requests of an http.Server.
type Server struct {
	usual    *http.Server
	next     http.Handler // the usual server's own
	returned *handover.Listener

	stopping atomic.Bool
	mu       sync.Mutex
	conns    map[*conn]struct{}
}

// New returns the Server for another, which has its handler, IdleTimeout, ConnState and ErrorLog already. The other has to Serve the
// Listener, too, and its address is that listener's.
func New(usual *http.Server, address net.Addr) *Server {
	s := &Server{usual: usual, next: usual.Handler, returned: handover.NewListener(address), conns: map[*conn]struct{}{}}
	usual.Handler, usual.ConnContext = s, markReturned(usual.ConnContext)
	return s
}

// Listener accepts the connections that are given back.
func (s *Server) Listener() net.Listener {
	return s.returned
}

// ServeHTTP takes the connection over, unless its request is not plain, or it was given back.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isPlain(r) || isReturned(r.Context()) {
		s.next.ServeHTTP(w, r)
		return
	}
	c := &conn{server: s}
	if !s.add(c) {
		s.next.ServeHTTP(w, r)
		return
	}
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil { // the client has disconnected
		s.remove(c)
		return
	}
	c.open(raw, buffered, r)
	go c.serve(c.newExchange(r)) // so that nothing is kept of net/http's own goroutine
}

// isPlain is true of a request after which the connection may be taken over.
func isPlain(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Close {
		return false
	}
	for name := range r.Header {
		if IsSpecial(name) {
			return false
		}
	}
	return r.Body == http.NoBody && r.ContentLength == 0
}

// add returns false while the server stops. It is called before the connection is taken over, so that Shutdown overlooks none.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// pollInterval is how often Shutdown looks for connections that have become idle.
const pollInterval = 5 * time.Millisecond

// Shutdown closes idle connections, and waits until the others have ended: they close after their response.
func (s *Server) Shutdown(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for s.closeIdle() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// closeIdle returns how many connections there are.
func (s *Server) closeIdle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping.Store(true)
	for c := range s.conns {
		if c.state.CompareAndSwap(idle, closed) {
			go func() { _ = c.Close() }() // which may wait for the client
		}
	}
	return len(s.conns)
}

// Close closes all connections.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping.Store(true)
	for c := range s.conns {
		if c.state.Swap(closed) != opening {
			go func() { _ = c.Close() }()
		}
	}
}
