package transfer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// ErrIdleTimeout is the cause with which the context of a request ends when no more of its body arrives.
var ErrIdleTimeout = errors.New("the client has sent nothing for too long")

// pieceSize is how much is written under one deadline: what a TLS record and an HTTP/2 frame hold. A client that has read one quickly is
// sent quickPieces in one write, since each write wakes net/http; over HTTP/3, quicPieces, since each wakes quic-go.
const (
	pieceSize   = 16 << 10
	quickPieces = 4
	quicPieces  = 64
	quickTime   = 100 * time.Millisecond
)

const socketBuffer = 2 << 10

// past is a deadline that ends pending reads and writes.
var past = time.Unix(1, 0)

// idleTimer ends an operation that takes too long.
type idleTimer struct {
	idle time.Duration
	end  func()
}

// start returns a timer to be stopped.
func (t idleTimer) start() *time.Timer {
	return time.AfterFunc(t.idle, t.end)
}

// WatchResponse closes the body of Immich's response when nothing has arrived for the idle time, and records why it ends early.
func WatchResponse(r *http.Response, idle time.Duration) {
	ctx, body := r.Request.Context(), r.Body
	r.Body = &responseBody{ReadCloser: body, ctx: ctx, idleTimer: idleTimer{idle, func() {
		Abort(ctx, Timeout)
		_ = body.Close()
	}}}
}

type responseBody struct {
	io.ReadCloser

	ctx       context.Context
	idleTimer idleTimer
	reading   reusedTimer
}

func (b *responseBody) Read(p []byte) (int, error) {
	b.reading.start(b.idleTimer)
	defer b.reading.stop()
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		if x := exchangeOf(b.ctx); x != nil {
			x.abortResponse(b.ctx)
		}
	}
	return n, err
}

// CloseWrite closes the writing half of a connection, or the connection if it has no halves.
func CloseWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}
