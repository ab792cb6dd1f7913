package http1

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/immichaccess/immichaccess/internal/handover"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// returnedConn is a connection that was given back to net/http.
type returnedConn struct {
	*handover.Conn
}

// returnedTLSConn tells net/http the state of TLS.
type returnedTLSConn struct {
	*returnedConn

	encrypted *tls.Conn
}

func newReturnedConn(conn net.Conn, read []byte) net.Conn {
	c := &returnedConn{handover.NewConn(conn, read)}
	if encrypted, ok := conn.(*tls.Conn); ok {
		return &returnedTLSConn{c, encrypted}
	}
	return c
}

func (c *returnedTLSConn) ConnectionState() tls.ConnectionState {
	return c.encrypted.ConnectionState()
}

// NetConn returns the connection below, as that of tls.Conn does.
func (c *returnedConn) NetConn() net.Conn {
	return c.Conn.Conn
}

// CloseWrite lets net/http end a connection without a reset.
func (c *returnedConn) CloseWrite() error {
	return transfer.CloseWrite(c.Conn.Conn)
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
