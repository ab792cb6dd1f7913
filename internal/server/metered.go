package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
)

// limitedListener admits TCP connections as the limiter allows.
type limitedListener struct {
	net.Listener

	name    string
	limiter *connLimiter
	log     *rareLog
}

// Accept returns errors to net/http too, which tries again after a while where that makes sense.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			l.failed(err)
			return nil, err
		}
		metered := &meteredConn{Conn: conn}
		metered.inHead.Store(true)
		metered.tracked = l.limiter.admit(conn.RemoteAddr(), func() { _ = conn.Close() })
		if metered.tracked != nil {
			return metered, nil
		}
		_ = conn.Close()
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

// meteredConn counts what comes in until there is a whole request head, TLS included: that is what it costs to wait for one.
type meteredConn struct {
	net.Conn

	tracked *trackedConn
	inHead  atomic.Bool
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.inHead.Load() {
		c.tracked.receiving(int64(n))
	}
	return n, err
}

func (c *meteredConn) Close() error {
	c.tracked.release()
	return c.Conn.Close()
}

// CloseWrite lets net/http end a connection of plain HTTP without a reset.
func (c *meteredConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// withConn is the ConnContext of servers of HTTP/1.1.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	if metered, ok := conn.(*meteredConn); ok {
		return context.WithValue(ctx, connKey{}, metered.tracked)
	}
	return ctx
}

// follow is the ConnState of servers of HTTP/1.1.
func follow(conn net.Conn, state http.ConnState) {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	metered, ok := conn.(*meteredConn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive: // net/http has read a head
		metered.inHead.Store(false)
		metered.tracked.hasAsked()
		metered.tracked.pending(0)
		metered.tracked.serving(true)
	case http.StateIdle:
		metered.tracked.serving(false)
		metered.inHead.Store(true)
	default:
	}
}
