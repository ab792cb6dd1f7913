package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/semantics"
	"github.com/immichaccess/immichaccess/internal/transfer"
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
	expires  transfer.Deadline // for reading
	writes   writeLimit
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
	c.writes.conn = raw
	if encrypted, ok := raw.(*tls.Conn); ok {
		c.below, _ = encrypted.NetConn().(batchWriter)
	}
	common := http.Request{Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: r.RemoteAddr, TLS: r.TLS}
	c.template = common.WithContext(context.WithoutCancel(r.Context()))
}

// exchange is a request with its response, allocated as one object. None is used again, since a handler may keep any part of it.
type exchange struct {
	request  http.Request
	url      url.URL // of the request
	ctx      transfer.RequestContext
	response response
}

// newExchange returns one for a copy of the request, with a context that does not end when the handler of net/http returns.
func (c *conn) newExchange(r *http.Request) *exchange {
	x := &exchange{}
	x.ctx.Context = c.template.Context()
	x.request = *r.WithContext(&x.ctx)
	return x
}

// serve returns when the connection is closed, or given back.
func (c *conn) serve(x *exchange) {
	defer c.end()
	if !c.state.CompareAndSwap(opening, busy) {
		return
	}
	for x != nil && c.answer(x) && c.becomeIdle() {
		x = c.next()
	}
}

// answer reports whether the connection can be used for another request.
func (c *conn) answer(x *exchange) bool {
	c.watch.begin(&x.ctx)
	w := &x.response
	w.init(c, &x.request)
	c.writes.beginResponse(w)
	c.server.next.ServeHTTP(w, &x.request)
	x.ctx.Cancel()
	w.finish()
	c.watch.end()
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
func (c *conn) next() *exchange {
	c.limitIdle()
	if _, err := c.reader.Peek(1); err != nil || !c.state.CompareAndSwap(idle, busy) {
		return nil
	}
	buffered, _ := c.reader.Peek(c.reader.Buffered()) // can't fail
	x := c.newExchange(c.template)
	x.request.URL = &x.url
	head := HeadOf(buffered)
	if !parse(&x.request, string(head)) {
		c.giveBack(buffered)
		return nil
	}
	_, _ = c.reader.Discard(len(head))
	c.setState(http.StateActive)
	return x
}

func (c *conn) limitIdle() {
	if most := c.server.usual.IdleTimeout; most > 0 {
		if at, changed := c.expires.Extend(most); changed {
			_ = c.SetReadDeadline(at)
		}
	}
	c.writes.beginIdle(&c.expires)
}

// giveBack leaves the connection to net/http, with what was read of it.
func (c *conn) giveBack(buffered []byte) {
	_ = c.SetReadDeadline(time.Time{})
	c.writes.giveBack()
	c.returned = c.server.returned.Pass(newReturnedConn(c.Conn, buffered))
}

func (c *conn) setState(state http.ConnState) {
	if hook := c.server.usual.ConnState; hook != nil {
		hook(c.Conn, state)
	}
}

// end is also called when a handler panics, to abort the response. As in net/http, what was written before is sent.
func (c *conn) end() {
	semantics.LogPanic(c.server.usual, c.template.RemoteAddr, recover())
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
	w.conn.writes.beginWrite()
	n, err := w.conn.Write(p)
	if err != nil {
		w.conn.watch.cancelRequest()
	}
	return n, err
}
