// Package readiness waits until there is something to read from a connection, so that thousands that are idle need no buffers, and
// reads and writes with less work for Go's scheduler.
package readiness

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// ErrNotYet is returned by a Read that would have to wait.
var ErrNotYet error = notYet{}

// notYet is temporary, so that TLS reads on later where it has stopped.
type notYet struct{}

func (notYet) Error() string   { return "there is nothing to read yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

// Conn is a TCP connection, from which one goroutine at a time may read.
type Conn struct {
	*net.TCPConn

	raw     syscall.RawConn
	attempt func(socket uintptr) bool // of raw, for WhenReadable
	read    func() error
	err     error // of read
	socket  int   // while read is called, otherwise negative

	reading operation // that waits
	writing operation
	writes  sync.Mutex // for writing
}

// operation is a Read or Write.
type operation struct {
	attempt func(socket uintptr) bool // of raw
	p       []byte
	n       int // of p
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
	c.attempt, c.reading.attempt, c.writing.attempt = c.tryRead, c.tryReading, c.tryWriting
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
	case c.socket >= 0: // also to read nothing: TCPConn would wait for WhenReadable to end
		return c.readNow(c.socket, p)
	case len(p) == 0:
		return c.TCPConn.Read(p)
	}
	return c.readWaiting(p)
}

func (c *Conn) readWaiting(p []byte) (int, error) {
	c.reading.begin(p)
	return c.reading.end(c.raw.Read(c.reading.attempt), "read")
}

func (c *Conn) Write(p []byte) (int, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	c.writing.begin(p)
	return c.writing.end(c.raw.Write(c.writing.attempt), "write")
}

func (o *operation) begin(p []byte) {
	o.p, o.n, o.err = p, 0, nil
}

// end returns the error of raw, if any, with the name that a connection's has.
func (o *operation) end(err error, name string) (int, error) {
	o.p = nil
	if err == nil {
		return o.n, o.err
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		failed.Op = name
	}
	return o.n, err
}

// tryReading reports whether there was something to read.
func (c *Conn) tryReading(socket uintptr) bool {
	r := &c.reading
	r.n, r.err = c.readNow(int(socket), r.p)
	return !errors.Is(r.err, ErrNotYet)
}

// tryWriting reports whether nothing is left to write.
func (c *Conn) tryWriting(socket uintptr) bool {
	w := &c.writing
	for w.n < len(w.p) {
		switch n, err := write(int(socket), w.p[w.n:]); {
		case err == nil:
			w.n += n
		case errors.Is(err, syscall.EAGAIN):
			return false
		case !errors.Is(err, syscall.EINTR):
			w.err = c.failed("write", err)
			return true
		}
	}
	return true
}

// readNow returns ErrNotYet if there is nothing to read.
func (c *Conn) readNow(socket int, p []byte) (int, error) {
	for {
		switch n, err := read(socket, p); {
		case err == nil && (n > 0 || len(p) == 0):
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, syscall.EAGAIN):
			return 0, ErrNotYet
		case !errors.Is(err, syscall.EINTR):
			return 0, c.failed("read", err)
		}
	}
}

// failed is the error of a system call.
func (c *Conn) failed(call string, err error) error {
	return &net.OpError{Op: call, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, err)}
}
