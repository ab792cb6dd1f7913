// Package http2 serves HTTP/2 (RFC 9113) to the clients, with fewer copies, goroutines and system calls than net/http: what a handler
// writes goes to the connection in the handler's own goroutine. It bounds what a connection may cost by itself, instead of by looking
// at the frames from outside.
package http2

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/flowcontrol"
)

// Server has what its connections have in common. All fields are needed, but KeepAlive may be 0: then idle connections have no limit.
type Server struct {
	Handler http.Handler

	// Usual is the server of the other connections: handlers find it in the context. Its ErrorLog is that of this one, too.
	Usual *http.Server

	HeadTimeout time.Duration // of the first request, and of the rest of one that has begun
	KeepAlive   time.Duration // of connections without a request

	// MaxHead is the most that a head may count: the bytes of its names and values, and 32 more for each field (RFC 9113, section
	// 6.5.2). Above it, a request gets 431.
	MaxHead int

	MaxStreams int // requests that run at the same time on a connection

	// Uploads bounds what is held for all handlers.
	Uploads *flowcontrol.HTTP2

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping bool
}

// Monitor is told what a connection does.
type Monitor interface {
	// HasAsked is called once, when the first head is complete.
	HasAsked()
	// Pending is called with the number of bytes received of an incomplete head, and with 0 when it is complete.
	Pending(bytes int64)
	// Serving is called when the first of several requests begins, and when the last has ended.
	Serving(running bool)
}

// Serve serves a connection until it has ended, and closes it. The preface is still to be read. State is nil without TLS. The values of
// ctx are those of the contexts of requests.
func (s *Server) Serve(ctx context.Context, raw net.Conn, state *tls.ConnectionState, monitor Monitor) {
	c := newConn(ctx, s, raw, state, monitor)
	if !s.add(c) {
		_ = raw.Close()
		return
	}
	defer s.remove(c)
	c.serve()
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// stop makes the server accept no more connections, and returns the existing ones.
func (s *Server) stop() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	return open
}

// pollInterval is how often Shutdown looks whether all connections have ended.
const pollInterval = 5 * time.Millisecond

// Shutdown accepts no more requests, and waits until those that run have ended, and clients have received what was sent last.
func (s *Server) Shutdown(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for _, c := range s.stop() {
		c.stop()
	}
	for len(s.stop()) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// Close ends all connections.
func (s *Server) Close() {
	for _, c := range s.stop() {
		go c.abandon(net.ErrClosed) // which may wait for the client
	}
}
