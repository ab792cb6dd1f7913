package http1

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

// returnedConns is a net.Listener for the connections that are given back to net/http.
type returnedConns struct {
	address net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	close   sync.Once
}

func newReturnedConns(address net.Addr) *returnedConns {
	return &returnedConns{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// add returns false if nobody accepts the connection any more.
func (l *returnedConns) add(conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.closed:
		return false
	}
}

func (l *returnedConns) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *returnedConns) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

func (l *returnedConns) Addr() net.Addr {
	return l.address
}

// returnedConn is a connection of which something was read already.
type returnedConn struct {
	net.Conn

	read []byte
}

// returnedTLSConn tells net/http the state of TLS.
type returnedTLSConn struct {
	*returnedConn

	encrypted *tls.Conn
}

func newReturnedConn(conn net.Conn, read []byte) net.Conn {
	c := &returnedConn{conn, append([]byte(nil), read...)}
	if encrypted, ok := conn.(*tls.Conn); ok {
		return &returnedTLSConn{c, encrypted}
	}
	return c
}

func (c *returnedTLSConn) ConnectionState() tls.ConnectionState {
	return c.encrypted.ConnectionState()
}

func (c *returnedConn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// NetConn returns the connection below, as that of tls.Conn does.
func (c *returnedConn) NetConn() net.Conn {
	return c.Conn
}

// CloseWrite lets net/http end a connection without a reset.
func (c *returnedConn) CloseWrite() error {
	return transfer.CloseWrite(c.Conn)
}

type returnedKey struct{}

// markReturned returns an http.Server's ConnContext that marks connections which were given back.
func markReturned(next func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, conn net.Conn) context.Context {
		if next != nil {
			ctx = next(ctx, conn)
		}
		switch conn.(type) {
		case *returnedConn, *returnedTLSConn:
			return context.WithValue(ctx, returnedKey{}, true)
		}
		return ctx
	}
}

func isReturned(ctx context.Context) bool {
	return ctx.Value(returnedKey{}) != nil
}
