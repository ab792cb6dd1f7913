package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

// limitedListener admits TCP connections as the limiter allows.
type limitedListener struct {
	net.Listener

	name    string
	limiter *connLimiter
	proxies *proxyProtocol // nil if it is not used
	log     *rareLog
}

// Accept also returns errors to net/http, which tries again after a while if they are temporary.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			l.failed(err)
			return nil, err
		}
		limited := &limitedConn{Conn: conn}
		limited.batches, _ = conn.(*batchConn)
		limited.inHead.Store(true)
		limited.tracked = l.limiter.admit(conn.RemoteAddr(), func() { _ = conn.Close() })
		if limited.tracked == nil {
			_ = conn.Close()
			continue
		}
		if l.proxies.trust(conn.RemoteAddr()) {
			limited.Conn = l.proxies.conn(conn, limited.tracked)
		}
		return limited, nil
	}
}

func (l *limitedListener) failed(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	l.log.error("connections can't be accepted", "for", l.name, "address", l.Addr().String(), "error", err)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		l.limiter.evictOne()
	}
}

// limitedConn counts the bytes received until a request head is complete, TLS included: that is the memory that an unfinished
// head takes.
type limitedConn struct {
	net.Conn

	batches *batchConn // nil where the listener's connections do not write in batches
	tracked *trackedConn
	inHead  atomic.Bool
}

func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.inHead.Load() {
		c.tracked.receiving(int64(n))
	}
	return n, err
}

func (c *limitedConn) Close() error {
	c.tracked.release()
	return c.Conn.Close()
}

// NetConn returns the connection below.
func (c *limitedConn) NetConn() net.Conn {
	return c.Conn
}

// CloseWrite lets net/http end a connection of plain HTTP without a reset.
func (c *limitedConn) CloseWrite() error {
	return transfer.CloseWrite(c.Conn)
}

// WriteTogether sends with one system call what write writes through TLS.
func (c *limitedConn) WriteTogether(write func() error) error {
	if c.batches == nil {
		return write()
	}
	return c.batches.together(write)
}

// limitedConnOf finds the connection below TLS, nil if the listener was not a limitedListener.
func limitedConnOf(conn net.Conn) *limitedConn {
	for {
		switch above := conn.(type) {
		case *limitedConn:
			return above
		case interface{ NetConn() net.Conn }:
			conn = above.NetConn()
		default:
			return nil
		}
	}
}

// withConn is the ConnContext of servers of HTTP/1.1.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if limited := limitedConnOf(conn); limited != nil {
		return context.WithValue(ctx, connKey{}, limited.tracked)
	}
	return ctx
}

// follow is the ConnState of servers of HTTP/1.1.
func follow(conn net.Conn, state http.ConnState) {
	limited := limitedConnOf(conn)
	if limited == nil {
		return
	}
	switch state {
	case http.StateActive: // net/http has read a head
		limited.inHead.Store(false)
		limited.tracked.HasAsked()
		limited.tracked.Pending(0)
		limited.tracked.Serving(true)
	case http.StateIdle:
		limited.tracked.Serving(false)
		limited.inHead.Store(true)
	default:
	}
}
