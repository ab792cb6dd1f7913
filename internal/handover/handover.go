// Package handover passes connections from one server to another, with what was already read of them.
package handover

import (
	"net"
	"slices"
	"sync"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

// Listener is a net.Listener for connections that another server has accepted.
type Listener struct {
	address net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	close   sync.Once
}

// NewListener returns a Listener whose address is that of the other server's.
func NewListener(address net.Addr) *Listener {
	return &Listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Pass returns when the connection has been accepted. It returns false if the Listener is closed: the connection remains the
// caller's.
func (l *Listener) Pass(conn net.Conn) bool {
	select {
	case l.conns <- conn:
		return true
	case <-l.closed:
		return false
	}
}

// Accept returns net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close does not close the connections that were passed.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the address of the other server.
func (l *Listener) Addr() net.Addr {
	return l.address
}

// Conn is a connection of which something was already read.
type Conn struct {
	net.Conn

	read []byte
}

// NewConn returns a Conn that begins with the pieces, which it copies.
func NewConn(conn net.Conn, pieces ...[]byte) *Conn {
	return &Conn{conn, slices.Concat(pieces...)}
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// CloseWrite closes the writing half, if the connection has halves.
func (c *Conn) CloseWrite() error {
	return transfer.CloseWrite(c.Conn)
}
