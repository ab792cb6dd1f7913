// Package flowcontrol bounds how much clients may have in flight: what they have sent and Immich has not yet read. The windows
// of HTTP/2 and HTTP/3 have to be large, or one upload with a long round trip would be slow; but hundreds of them, full, would
// take gigabytes.
package flowcontrol

import (
	"net"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/http2frame"
)

// UploadWindow is how much a client of HTTP/2 or HTTP/3 may send before the server has to extend the window: 120 MB/s with a
// round trip of 100 ms. Go's default allows 10 MB/s.
const UploadWindow = 12 << 20

const (
	// http2Limit is how much of their uploads all HTTP/2 connections together may hold in memory when Immich is slower than the
	// clients, in addition to http2Free for each. A single connection never reaches it.
	http2Limit = UploadWindow
	http2Free  = 32 << 10
)

// HTTP2 bounds what clients of HTTP/2 have in flight. At the limit, a connection that holds more than its free share is not
// read from until Immich has read some of it, so TCP makes the client wait. Other requests of that client wait as well, so this
// is done only at the limit.
type HTTP2 struct {
	limit int64
	free  int64

	mu      sync.Mutex
	shrinks sync.Cond
	held    int64 // by all connections, beyond what is free
}

// NewHTTP2 returns the bound for all connections of a server.
func NewHTTP2() *HTTP2 {
	return newHTTP2(http2Limit, http2Free)
}

func newHTTP2(limit, free int64) *HTTP2 {
	b := &HTTP2{limit: limit, free: free}
	b.shrinks.L = &b.mu
	return b
}

// Heads is notified of the heads of requests on a connection.
type Heads interface {
	// HasAsked is called once, when the first head is complete.
	HasAsked()
	// Pending is called with the number of bytes received of an incomplete head, and with 0 when it is complete.
	Pending(bytes int64)
}

// Conn returns the connection that HTTP/2 should read and write. It is closed if the client's first request, or the rest of one
// that has begun, does not arrive within headTimeout: net/http has no timeout for that on HTTP/2.
func (b *HTTP2) Conn(conn net.Conn, heads Heads, headTimeout time.Duration) net.Conn {
	c := &meteredConn{Conn: conn, all: b, headsOf: heads, headTimeout: headTimeout}
	c.incoming.skip = int64(len(http2frame.Preface))
	c.headTimer = time.AfterFunc(headTimeout, func() { _ = c.Close() })
	return c
}

// meteredConn counts what it holds: the bodies that arrive, less what the server returns to the client's window because it was
// read, or never will be.
type meteredConn struct {
	net.Conn

	all    *HTTP2
	held   int64 // guarded by all.mu, as is closed
	closed bool

	incoming frames // one reader
	outgoing frames // one writer
	opened   bool   // the initial window was sent

	headsOf     Heads
	headTimeout time.Duration
	headTimer   *time.Timer // runs while a head is incomplete
	awaited     int64       // its bytes after the last read; used by the reader only
	heads       int64       // how many were complete then
}

func (c *meteredConn) Read(p []byte) (int, error) {
	c.await()
	n, err := c.Conn.Read(p)
	c.incoming.read(p[:n], func(f frame) {
		if f.kind == http2frame.Data {
			c.hold(f.length)
		}
	})
	c.followHead()
	return n, err
}

// followHead runs the timer while there is an incomplete head. Most heads arrive in one piece and need none.
func (c *meteredConn) followHead() {
	pending, heads := c.incoming.pending(), c.incoming.heads
	if pending == c.awaited && heads == c.heads {
		return
	}
	if heads > c.heads {
		c.headTimer.Stop()
		c.headDone()
		c.awaited = 0
	}
	if pending > 0 && c.awaited == 0 && heads > 0 {
		c.headTimer.Reset(c.headTimeout)
	}
	if pending > 0 {
		c.headsOf.Pending(pending)
	}
	c.awaited, c.heads = pending, heads
}

// headDone takes back what was reported as pending. Before the first head, that includes bytes of TLS.
func (c *meteredConn) headDone() {
	if c.heads == 0 {
		c.headsOf.HasAsked()
	}
	if c.heads == 0 || c.awaited > 0 {
		c.headsOf.Pending(0)
	}
}

func (c *meteredConn) Write(p []byte) (int, error) {
	c.outgoing.read(p, func(f frame) {
		if f.kind == http2frame.WindowUpdate && f.stream == 0 {
			c.giveBack(f.increment)
		}
	})
	return c.Conn.Write(p)
}

// giveBack records by how much the client's window grows. The first WINDOW_UPDATE sets the initial window.
func (c *meteredConn) giveBack(n int64) {
	if c.opened {
		c.hold(-n)
	}
	c.opened = true
}

// Close wakes the reader, and releases what the connection held.
func (c *meteredConn) Close() error {
	c.all.mu.Lock()
	c.closed = true
	c.add(-c.held)
	c.all.mu.Unlock()
	c.headTimer.Stop()
	return c.Conn.Close()
}

func (c *meteredConn) await() {
	b := c.all
	b.mu.Lock()
	defer b.mu.Unlock()
	for !c.closed && b.held > b.limit && c.held > b.free {
		b.shrinks.Wait()
	}
}

func (c *meteredConn) hold(n int64) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if !c.closed {
		c.add(n)
	}
}

func (c *meteredConn) add(n int64) {
	b := c.all
	before := max(c.held-b.free, 0)
	c.held = max(c.held+n, 0)
	b.held += max(c.held-b.free, 0) - before
	if n < 0 && before > 0 {
		b.shrinks.Broadcast()
	}
}
