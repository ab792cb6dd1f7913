// Package readiness waits until there is something to read from a connection, so that thousands that are idle need no buffers.
package readiness

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// ErrNotYet is returned by a Read that would have to wait.
var ErrNotYet error = notYet{}

// notYet is temporary, so that TLS reads on later where it has stopped.
type notYet struct{}

func (notYet) Error() string   { return "there is nothing to read yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// Conn is a TCP connection.
type Conn struct {
	*net.TCPConn

	raw     syscall.RawConn
	attempt func(socket uintptr) bool // of raw, for WhenReadable
	read    func() error
	err     error // of read
	socket  int   // while read is called, otherwise negative
	waiting waitingRead
}

// waitingRead is a Read that waits.
type waitingRead struct {
	attempt func(socket uintptr) bool // of raw
	p       []byte
	n       int
	err     error
}

// New returns conn itself if it is not TCP.
func New(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	c := &Conn{TCPConn: tcp, raw: raw, socket: -1}
	c.attempt, c.waiting.attempt = c.tryRead, c.tryWaitingRead
	return c
}

// Of returns the TCP connection on which another is based, nil if it is not known.
func Of(conn net.Conn) *Conn {
	for {
		switch above := conn.(type) {
		case *Conn:
			return above
		case interface{ NetConn() net.Conn }:
			conn = above.NetConn()
		default:
			return nil
		}
	}
}

// WhenReadable calls read when there may be something to read, until it returns anything but ErrNotYet. Meanwhile, Read does not wait.
// The deadline for reading applies. Without a Conn, read may have to wait.
func (c *Conn) WhenReadable(read func() error) error {
	if c == nil {
		return read()
	}
	c.read = read
	if err := c.raw.Read(c.attempt); err != nil {
		return err
	}
	return c.err
}

// tryRead reports whether there was something to read.
func (c *Conn) tryRead(socket uintptr) bool {
	c.socket = int(socket)
	c.err = c.read()
	c.socket = -1
	return !errors.Is(c.err, ErrNotYet)
}

func (c *Conn) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return c.TCPConn.Read(p)
	case c.socket < 0:
		return c.readWaiting(p)
	}
	return c.readNow(c.socket, p)
}

func (c *Conn) readWaiting(p []byte) (int, error) {
	w := &c.waiting
	w.p = p
	err := c.raw.Read(w.attempt)
	w.p = nil
	if err != nil {
		return 0, asRead(err)
	}
	return w.n, w.err
}

// asRead names the error of a raw connection as a connection does.
func asRead(err error) error {
	var failed *net.OpError
	if errors.As(err, &failed) {
		failed.Op = "read"
	}
	return err
}

// tryWaitingRead reports whether there was something to read.
func (c *Conn) tryWaitingRead(socket uintptr) bool {
	w := &c.waiting
	w.n, w.err = c.readNow(int(socket), w.p)
	return !errors.Is(w.err, ErrNotYet)
}

// readNow returns ErrNotYet if there is nothing to read.
func (c *Conn) readNow(socket int, p []byte) (int, error) {
	for {
		switch n, err := read(socket, p); {
		case err == nil && n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, syscall.EAGAIN):
			return 0, ErrNotYet
		case !errors.Is(err, syscall.EINTR):
			return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", err)}
		}
	}
}
