package server

import (
	"net"
	"sync"
	"time"
)

const (
	// backlogLimit is how much of their uploads all HTTP/2 connections together may leave in memory when Immich is slower
	// than the clients, beside backlogFree for each. A connection that is alone never gets there.
	backlogLimit = uploadWindow
	backlogFree  = 32 << 10
)

// backlog bounds what clients of HTTP/2 have sent and Immich has not yet taken. The window that a client is promised can't
// be small, or one upload across a long way would be slow; and a hundred such windows, full, would take gigabytes. So when
// the limit is reached, a connection that holds more than its free share is not read from until Immich has taken some of
// it, and TCP tells the client to wait. Its other requests wait as well then: that is why this is not the rule.
type backlog struct {
	limit int64
	free  int64

	mu      sync.Mutex
	shrinks sync.Cond
	held    int64 // by all connections, beyond what is free
}

func newBacklog(limit, free int64) *backlog {
	b := &backlog{limit: limit, free: free}
	b.shrinks.L = &b.mu
	return b
}

// watch returns the connection as HTTP/2 is to read and write it. The client is closed on if its first request, or the rest of
// one that has begun, does not come in time: net/http has no timeout for that on HTTP/2.
func (b *backlog) watch(conn net.Conn, tracked *trackedConn, headTimeout time.Duration) net.Conn {
	c := &watchedConn{Conn: conn, backlog: b, tracked: tracked, headTimeout: headTimeout}
	c.incoming.skip = int64(len(clientPreface))
	c.headTimer = time.AfterFunc(headTimeout, func() { _ = c.Close() })
	return c
}

// watchedConn counts what it holds: the bodies that come in, less what the server gives back to the client's window,
// because somebody has read it or nobody will.
type watchedConn struct {
	net.Conn

	backlog *backlog
	held    int64 // guarded by backlog.mu, as is closed
	closed  bool

	incoming frames // one reader
	outgoing frames // one writer
	opened   bool   // the client knows its window

	tracked     *trackedConn
	headTimeout time.Duration
	headTimer   *time.Timer // runs while a head is awaited
	awaited     int64       // what there was of it after the last read; only the reader uses it
	heads       int64       // how many there had been
}

func (c *watchedConn) Read(p []byte) (int, error) {
	c.await()
	n, err := c.Conn.Read(p)
	c.incoming.read(p[:n], func(f frame) {
		if f.kind == frameData {
			c.hold(f.length)
		}
	})
	c.followHead()
	return n, err
}

// followHead has the timer run while there is an unfinished head. Most heads come in one piece, and are none of its business.
func (c *watchedConn) followHead() {
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
		c.tracked.pending(pending)
	}
	c.awaited, c.heads = pending, heads
}

// headDone has to tell only of what was told of before. With the first head, that is TLS and HTTP/1.1 too.
func (c *watchedConn) headDone() {
	if c.heads == 0 {
		c.tracked.hasAsked()
	}
	if c.heads == 0 || c.awaited > 0 {
		c.tracked.pending(0)
	}
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.outgoing.read(p, func(f frame) {
		if f.kind == frameWindowUpdate && f.stream == 0 {
			c.giveBack(f.increment)
		}
	})
	return c.Conn.Write(p)
}

// giveBack notes what the client may send again. The first time, it is told of the window itself.
func (c *watchedConn) giveBack(n int64) {
	if c.opened {
		c.hold(-n)
	}
	c.opened = true
}

// Close wakes the reader, and gives up what the connection held.
func (c *watchedConn) Close() error {
	c.backlog.mu.Lock()
	c.closed = true
	c.add(-c.held)
	c.backlog.mu.Unlock()
	c.headTimer.Stop()
	return c.Conn.Close()
}

func (c *watchedConn) await() {
	b := c.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	for !c.closed && b.held > b.limit && c.held > b.free {
		b.shrinks.Wait()
	}
}

func (c *watchedConn) hold(n int64) {
	c.backlog.mu.Lock()
	defer c.backlog.mu.Unlock()
	if !c.closed {
		c.add(n)
	}
}

func (c *watchedConn) add(n int64) {
	b := c.backlog
	before := max(c.held-b.free, 0)
	c.held = max(c.held+n, 0)
	b.held += max(c.held-b.free, 0) - before
	if n < 0 && before > 0 {
		b.shrinks.Broadcast()
	}
}
