// Package transfer looks after requests while they run, whatever they carry: none may fall silent, early answers get
// through, and all are counted.
package transfer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// ErrSilent is why the context of a request ends when its body has stood still for too long.
var ErrSilent = errors.New("the client has sent nothing for too long")

// pieceSize is what is written under one deadline: a TLS record and an HTTP/2 frame hold no more, so that cutting a write
// into pieces costs nothing.
const pieceSize = 16 << 10

const socketBuffer = 2 << 10

// WithIdleTimeout ends transfers that fall silent, in either direction. Every piece starts the time anew.
//
// The server's own timeouts can't do that: they are totals. Nor can a deadline that is set once and moved along: on
// HTTP/2 it would go off while Immich is the one who is slow, and can't be taken back. So a watch runs only while we wait
// for the client.
func WithIdleTimeout(idle time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			_ = conn.SetWriteDeadline(time.Time{}) // that of the connection's previous request
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		r = r.WithContext(ctx)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &idleBody{r.Body, watch{idle, func() {
				cancel(ErrSilent) // before the server notices, and takes it for a client that has gone
				_ = conn.SetReadDeadline(past)
			}}}
		}
		next.ServeHTTP(&idleWriter{w, conn, watch{idle, func() { _ = conn.SetWriteDeadline(past) }}}, r)

		// What the server still has to write, and may want to read, when the handler has returned.
		_ = conn.SetWriteDeadline(time.Now().Add(idle))
		if r.ProtoMajor == 1 {
			_ = conn.SetReadDeadline(time.Now().Add(idle))
		}
	})
}

// past is a deadline that ends what waits.
var past = time.Unix(1, 0)

// watch ends an operation that takes too long.
type watch struct {
	idle time.Duration
	end  func()
}

// start returns a timer to be stopped. Each operation has its own, since a body may have two readers for a while.
func (w watch) start() *time.Timer {
	return time.AfterFunc(w.idle, w.end)
}

// EndWhenSilent closes a body from which nothing comes any more, such as Immich's answer.
func EndWhenSilent(body io.ReadCloser, idle time.Duration) io.ReadCloser {
	return &idleBody{body, watch{idle, func() { _ = body.Close() }}}
}

type idleBody struct {
	io.ReadCloser

	watch watch
}

func (b *idleBody) Read(p []byte) (int, error) {
	defer b.watch.start().Stop()
	return b.ReadCloser.Read(p)
}

type idleWriter struct {
	http.ResponseWriter

	conn  *http.ResponseController
	watch watch
}

func (w *idleWriter) Write(p []byte) (int, error) {
	written := 0
	for {
		piece := p[written:min(written+pieceSize, len(p))]
		timer := w.watch.start()
		n, err := w.ResponseWriter.Write(piece)
		timer.Stop()
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

func (w *idleWriter) FlushError() error {
	defer w.watch.start().Stop()
	return w.conn.Flush()
}

// Flush is for those who ask for an http.Flusher.
func (w *idleWriter) Flush() {
	_ = w.FlushError()
}

// Hijack hands out a connection, as of a WebSocket, on which either direction keeps both alive.
func (w *idleWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.conn.Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &idleConn{Conn: conn, idle: w.watch.idle}, buffered, nil
}

func (w *idleWriter) Unwrap() http.ResponseWriter {
	return w.ResponseWriter
}

type idleConn struct {
	net.Conn

	idle time.Duration
}

func (c *idleConn) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *idleConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// WriteTo and ReadFrom have io.Copy work with small buffers: an idle WebSocket waits with one in each direction.
func (c *idleConn) WriteTo(w io.Writer) (int64, error) {
	return copySmall(w, c)
}

func (c *idleConn) ReadFrom(r io.Reader) (int64, error) {
	return copySmall(c, r)
}

func copySmall(w io.Writer, r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, socketBuffer))
}

// CloseWrite keeps the half-close that ReverseProxy asks for.
func (c *idleConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
