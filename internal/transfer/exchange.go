// Package transfer tracks requests while they run: it applies the idle timeout, makes sure that no response is lost, and counts
// requests and bytes.
package transfer

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Handler wraps next. It ends transfers that have no data for the idle time, and reports each transfer when it has ended.
//
// The server's own timeouts can't do that: they are totals. Nor can a deadline that is extended: on HTTP/2 it would expire
// while Immich is slow, and can't be undone. So a timer runs only while a read or write waits for the client.
func Handler(tracker *Tracker, idle time.Duration, report func(Entry), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := newExchange(w, r)
		x.tracker, x.idleTimer.idle, x.report = tracker, idle, report
		ctx := withExchange(r.Context(), x)
		if hasBody(r) {
			var cancel context.CancelCauseFunc
			ctx, cancel = context.WithCancelCause(ctx)
			defer cancel(nil)
			r = x.takeBody(r.WithContext(ctx), cancel)
		} else if ctx != r.Context() {
			r = r.WithContext(ctx)
		}

		tracker.running.Add(1)
		returned := false
		defer func() {
			if x.socket.Load() != nil {
				return // its end is that of the connection
			}
			x.finish(returned)
			report(x.entry())
			tracker.running.Add(-1)
			x.end(returned)
		}()
		next.ServeHTTP(x, r)
		returned = true
	})
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody
}

// exchange is a request and its response, and the http.ResponseWriter of the handlers. What ends a transfer is recorded here
// and nowhere else.
type exchange struct {
	http.ResponseWriter
	outcome

	conn      http.ResponseController
	idleTimer idleTimer // of writes
	writing   reusedTimer
	identity  Identity
	start     time.Time
	request   *http.Request
	report    func(Entry)
	body      *requestBody // nil without one
	status    int
	sent      int64
	quick     bool                   // the client has taken the last piece at once
	socket    atomic.Pointer[socket] // what it has become, if anything
}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{
		ResponseWriter: w,
		conn:           *http.NewResponseController(w),
		identity:       Identity{Client: peer(r)},
		start:          time.Now(),
		request:        r,
	}
}

// entry is what is reported when the exchange has ended.
func (x *exchange) entry() Entry {
	return Entry{x.request, x.identity, x.status, x.aborted(), x.received(), x.sent, time.Since(x.start)}
}

func (x *exchange) received() int64 {
	if x.body == nil {
		return 0
	}
	return x.body.count.Load()
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
		if x.body != nil && x.body.closes(status, x.hasEnd(status)) {
			x.Header().Set("Connection", "close")
		}
	}
	x.ResponseWriter.WriteHeader(status)
}

// hasEnd reports whether the client sees the end of the response before the handler returns.
func (x *exchange) hasEnd(status int) bool {
	return x.request.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified || x.Header().Get("Content-Length") != ""
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	written := 0
	for {
		piece := p[written:min(written+x.pieceSize(), len(p))]
		n, err := x.writeInTime(piece)
		written += n
		x.sent += int64(n)
		x.tracker.sent.Add(int64(n))
		if err != nil {
			x.abort(Client)
		}
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// writeInTime limits how long a write waits for the client. One that does not wait needs no timer.
func (x *exchange) writeInTime(piece []byte) (int, error) {
	if b, ok := x.ResponseWriter.(buffer); ok && len(piece) <= b.Available() {
		return x.ResponseWriter.Write(piece)
	}
	x.startWriting()
	defer x.writing.stop()
	began := time.Now()
	n, err := x.ResponseWriter.Write(piece)
	x.quick = n == len(piece) && time.Since(began) < quickTime
	return n, err
}

// buffer is an http.ResponseWriter that can tell how many bytes it takes without writing to the client.
type buffer interface {
	Available() int
}

func (x *exchange) startWriting() {
	if x.idleTimer.end == nil {
		x.idleTimer.end = x.endWrite
	}
	x.writing.start(x.idleTimer)
}

// pieceSize is small for a client that is slow: the idle timeout ends when it has taken a piece. One that becomes slow must not lose its
// response in a large piece, so that there is a second for each pieceSize.
func (x *exchange) pieceSize() int {
	switch {
	case !x.quick:
		return pieceSize
	case x.request.ProtoMajor == 3:
		return max(quickPieces, min(int(x.idleTimer.idle/time.Second), quicPieces)) * pieceSize
	}
	return quickPieces * pieceSize
}

// FlushError is what http.ResponseController calls.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.startWriting()
	defer x.writing.stop()
	err := x.conn.Flush()
	if err != nil {
		x.abort(Client)
	}
	return err
}

// Flush implements http.Flusher.
func (x *exchange) Flush() {
	_ = x.FlushError()
}

func (x *exchange) endWrite() {
	x.abort(Timeout)
	_ = x.conn.SetWriteDeadline(past)
}

// Hijack lets a request become a WebSocket, which may outlast the handler. Data in either direction keeps it open; apart from that,
// only a shutdown ends it from here.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := x.conn.Hijack()
	if err != nil {
		return nil, nil, err
	}
	x.status = http.StatusSwitchingProtocols
	s := newSocket(conn, x)
	x.socket.Store(s)
	x.tracker.running.Add(-1)
	x.tracker.sockets.Add(1)
	x.tracker.keep(s)
	return s, buffered, nil
}

func (x *exchange) Unwrap() http.ResponseWriter {
	return x.ResponseWriter
}

// finish leaves the connection to the server, which still has to write, and may read.
func (x *exchange) finish(returned bool) {
	if !returned && x.status != 0 {
		x.abort(Upstream) // unless another cause is known
	}
	if x.body != nil {
		x.body.finish(x, returned)
	}
	_ = x.conn.SetWriteDeadline(time.Now().Add(x.idleTimer.idle))
}

// end does what is left to do after the transfer.
func (x *exchange) end(returned bool) {
	if x.body != nil {
		x.body.end(x, returned)
	}
}
