// Package readiness waits until there is something to read from a connection, so that thousands that are idle need no buffers.
package readiness

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// large is more than any Read asks for but those for a download over HTTP/3 (internal/proxy). Only for these does it pay not to tell the
// scheduler: without what it does about long system calls, the requests beside many transfers have to wait for theirs.
const large = 512 << 10

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
	attempt func(socket uintptr) bool // of raw
	read    func() error
	err     error // of read
	socket  int   // while read is called, otherwise negative
}

// New returns conn itself if it is not TCP.
func New(conn net.Conn) net.Conn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &Conn{TCPConn: tcp, socket: -1}
	}
	return conn
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
func (c *Conn) WhenReadable(read func() error) (err error) {
	if c == nil {
		return read()
	}
	if c.raw == nil {
		if c.raw, err = c.SyscallConn(); err != nil {
			return err
		}
		c.attempt = c.tryRead
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
	case c.socket >= 0: // also to read nothing: TCPConn would wait for WhenReadable to end
		return c.readNow(syscall.Read, c.socket, p)
	case len(p) < large:
		return c.TCPConn.Read(p)
	}
	return c.readLarge(p)
}

func (c *Conn) readLarge(p []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Read(func(socket uintptr) bool {
		n, err = c.readNow(readUnannounced, int(socket), p)
		return !errors.Is(err, ErrNotYet)
	})
	if failed != nil {
		return 0, asRead(failed)
	}
	return n, err
}

// asRead gives the error of a raw connection the name that a connection's has.
func asRead(err error) error {
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		failed.Op = "read"
	}
	return err
}

// readNow returns ErrNotYet if there is nothing to read.
func (c *Conn) readNow(read func(socket int, p []byte) (int, error), socket int, p []byte) (int, error) {
	for {
		switch n, err := read(socket, p); {
		case err == nil && (n > 0 || len(p) == 0):
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
