package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// The states of a conn.
const (
	opening int32 = iota
	busy
	idle
	closed
)

// conn is a connection that was taken over.
type conn struct {
	net.Conn

	server   *Server
	watch    watch
	reader   *bufio.Reader
	writer   *bufio.Writer
	below    batchWriter   // nil without TLS
	template *http.Request // what the requests of the connection have in common
	state    atomic.Int32
	expires  time.Time // the read deadline, zero if there is none
	returned bool
}

// batchWriter is a connection below TLS that can send many records with one system call.
type batchWriter interface {
	WriteTogether(write func() error) error
}

func (c *conn) open(raw net.Conn, buffered *bufio.ReadWriter, r *http.Request) {
	c.Conn, c.reader, c.writer = raw, buffered.Reader, buffered.Writer
	c.writer.Reset(connWriter{c})
	c.watch.init(c)
	if encrypted, ok := raw.(*tls.Conn); ok {
		c.below, _ = encrypted.NetConn().(batchWriter)
	}
	common := http.Request{Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: r.RemoteAddr, TLS: r.TLS}
	c.template = common.WithContext(context.WithoutCancel(r.Context()))
}

// adopt returns the first request, which net/http has read, with a context that does not end when its handler returns.
func (c *conn) adopt(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.template.Context())
	return r.WithContext(ctx), cancel
}

// serve returns when the connection is closed, or given back.
func (c *conn) serve(r *http.Request, cancel context.CancelFunc) {
	defer c.end()
	if !c.state.CompareAndSwap(opening, busy) {
		return
	}
	for r != nil && c.answer(r, cancel) && c.becomeIdle() {
		r, cancel = c.next()
	}
}

// answer reports whether the connection can be used for another request.
func (c *conn) answer(r *http.Request, cancel context.CancelFunc) bool {
	c.watch.begin(cancel)
	w := newResponse(c, r)
	c.server.next.ServeHTTP(w, r)
	cancel()
	w.finish()
	c.watch.end()
	if w.hasDeadline.Load() {
		_ = c.SetWriteDeadline(time.Time{})
	}
	return w.isComplete() && !c.server.stopping.Load()
}

func (c *conn) becomeIdle() bool {
	if !c.state.CompareAndSwap(busy, idle) {
		return false
	}
	c.setState(http.StateIdle)
	return true
}

// next reads a request. It returns nil when the connection has ended, or was given back. A head that does not arrive in one piece is
// for net/http, which has a timeout for the rest.
func (c *conn) next() (*http.Request, context.CancelFunc) {
	c.limitIdle()
	if _, err := c.reader.Peek(1); err != nil || !c.state.CompareAndSwap(idle, busy) {
		return nil, nil
	}
	buffered, _ := c.reader.Peek(c.reader.Buffered()) // can't fail
	ctx, cancel := context.WithCancel(c.template.Context())
	r := c.template.WithContext(ctx)
	head := headOf(buffered)
	if !parse(r, string(head)) {
		cancel()
		c.giveBack(buffered)
		return nil, nil
	}
	_, _ = c.reader.Discard(len(head))
	c.setState(http.StateActive)
	return r, cancel
}

// limitIdle sets a deadline that is a little later than it has to be, so that it need not be set again for each request.
func (c *conn) limitIdle() {
	const part = 16
	now, most := time.Now(), c.server.usual.IdleTimeout
	if most > 0 && c.expires.Before(now.Add(most)) {
		c.expires = now.Add(most + most/part)
		_ = c.SetReadDeadline(c.expires)
	}
}

// giveBack leaves the connection to net/http, with what was read of it.
func (c *conn) giveBack(buffered []byte) {
	_ = c.SetReadDeadline(time.Time{})
	c.returned = c.server.returned.Pass(newReturnedConn(c.Conn, buffered))
}

func (c *conn) setState(state http.ConnState) {
	if hook := c.server.usual.ConnState; hook != nil {
		hook(c.Conn, state)
	}
}

// end is also called when a handler panics, to abort the response. As in net/http, what was written before is sent.
func (c *conn) end() {
	if problem := recover(); problem != nil && problem != http.ErrAbortHandler { //nolint:errorlint // it may be anything
		c.server.logPanic(c.template.RemoteAddr, problem)
	}
	defer c.server.remove(c)
	c.watch.end()
	_ = c.writer.Flush()
	if !c.returned {
		_ = c.Close()
	}
}

// together calls write, and sends what it writes with one system call, if possible.
func (c *conn) together(write func() error) error {
	if c.below == nil {
		return write()
	}
	return c.below.WriteTogether(write)
}

// connWriter cancels the request when its client can't be written to.
type connWriter struct{ conn *conn }

func (w connWriter) Write(p []byte) (int, error) {
	n, err := w.conn.Write(p)
	if err != nil {
		w.conn.watch.cancelRequest()
	}
	return n, err
}
