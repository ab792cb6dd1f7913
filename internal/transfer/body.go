package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a client still sends after its response is read and dropped as long as it keeps sending, at no less than drainRate on
// average.
const (
	drainIdle = 30 * time.Second
	drainTime = time.Minute
	drainRate = 1 << 10 // bytes a second
)

// A client whose request is refused has lingerTime to read the response; what it sends meanwhile is read at 2 MB/s at most.
const (
	lingerTime   = 2 * time.Second
	lingerPause  = 8 * time.Millisecond
	lingerBuffer = 16 << 10
)

// requestBody is the body of a request that has one. It may have two readers for a while: the transport may still wait for the
// client when the response is over.
type requestBody struct {
	io.ReadCloser

	idleTimer idleTimer
	reading   reusedTimer
	timerUsed sync.Mutex // held while reading is in use
	total     *atomic.Int64
	count     atomic.Int64
	begun     atomic.Bool
	ended     atomic.Bool // at its end
	failed    atomic.Bool
	overLimit atomic.Bool
	forwarded *forwardedBody // nil if the request is not forwarded

	http1   bool // on the others, the server stops the client itself
	expects bool // the client waits for 100 Continue
	close   bool // the connection has to end with the response
}

// takeBody sets the body of a request, which must be a copy of the server's: before net/http closes the connection on a client
// that is still sending, it waits only if its own Request keeps its Body.
func (x *exchange) takeBody(r *http.Request, cancel context.CancelCauseFunc) *http.Request {
	x.body = &requestBody{
		ReadCloser: r.Body,
		total:      &x.tracker.received,
		http1:      r.ProtoMajor == 1 && x.conn.EnableFullDuplex() == nil, // responses while the client sends
		expects:    r.Header.Get("Expect") != "",
	}
	x.body.idleTimer = idleTimer{x.idleTimer.idle, func() {
		cancel(ErrIdleTimeout) // before the server notices, and reports a client that has closed the connection
		_ = x.conn.SetReadDeadline(past)
	}}
	r.Body = x.body
	return r
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.readInTime(p)
	b.count.Add(int64(n))
	b.total.Add(int64(n))
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	} else if err != nil {
		b.failed.Store(true)
	}
	return n, err
}

// readInTime limits how long a read waits for the client. A second reader has a timer of its own.
func (b *requestBody) readInTime(p []byte) (int, error) {
	if !b.timerUsed.TryLock() {
		defer b.idleTimer.start().Stop()
		return b.ReadCloser.Read(p)
	}
	defer b.timerUsed.Unlock()
	b.reading.start(b.idleTimer)
	defer b.reading.stop()
	return b.ReadCloser.Read(p)
}

// closes reports whether the connection has to end with the response, since the body will not be read to its end: for a request
// without a key, one that is too large or malformed, or one whose client may not send the rest once it has the response. The
// same holds if the handler must return for the response to end.
func (b *requestBody) closes(status int, hasEnd bool) bool {
	switch {
	case !b.http1 || b.ended.Load():
		b.close = false
	case b.begun.Load():
		b.close = b.failed.Load() || status == http.StatusRequestEntityTooLarge || status == http.StatusRequestTimeout || !hasEnd
	default:
		b.close = b.expects || status >= http.StatusBadRequest || !hasEnd
	}
	return b.close
}

// finish deals with the rest of the body on HTTP/1.1, where the next request follows it. The other protocols
// tell the client to stop.
func (b *requestBody) finish(x *exchange, returned bool) {
	if !b.http1 || b.ended.Load() {
		return
	}
	if returned && !b.close && b.forwarded != nil && x.conn.Flush() == nil && b.drain(&x.conn) {
		return
	}
	b.close = true
}

// end ends the connection, if it has to, without losing the response: a client that still sends to a closed connection gets a
// reset, which discards what it has not read yet.
func (b *requestBody) end(x *exchange, returned bool) {
	if !b.http1 || !b.close {
		return
	}
	if returned && x.hasEnd(x.status) && x.conn.Flush() == nil {
		b.linger(&x.conn)
	}
	// The server would read on for as long as the client sends, before it closes.
	_ = x.conn.SetReadDeadline(past)
	_ = b.ReadCloser.Close() //nolint:staticcheck // QF1008: the body has a Read of its own
	if returned {
		delayClose(x.ResponseWriter)
	}
}

// linger waits for the client to close the connection. It reads slowly, just enough to notice.
func (b *requestBody) linger(conn *http.ResponseController) {
	end, buffer := time.Now().Add(lingerTime), make([]byte, lingerBuffer)
	_ = conn.SetReadDeadline(end)
	for time.Now().Before(end) {
		if _, err := b.ReadCloser.Read(buffer); err != nil {
			return
		}
		time.Sleep(lingerPause)
	}
}

// drain reads the body to its end, unless it takes too long or is larger than allowed.
func (b *requestBody) drain(conn *http.ResponseController) bool {
	begin, buffer := time.Now(), make([]byte, socketBuffer)
	for drained := int64(0); ; {
		end := begin.Add(drainTime + time.Duration(drained/drainRate)*time.Second)
		if idle := time.Now().Add(min(drainIdle, b.idleTimer.idle)); idle.Before(end) {
			end = idle
		}
		_ = conn.SetReadDeadline(end)
		n, err := b.forwarded.Read(buffer)
		drained += int64(n)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// delayClose makes net/http wait for another half second before it closes the connection, as after http.MaxBytesReader.
func delayClose(w http.ResponseWriter) {
	for {
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = wrapped.Unwrap()
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}

// forwardedBody is the body as passed on by the handlers, with their limit. Reads take turns, since not every body allows
// concurrent ones.
type forwardedBody struct {
	io.ReadCloser

	mu   sync.Mutex
	body *requestBody
}

func (f *forwardedBody) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			f.body.overLimit.Store(true)
		}
	}
	return n, err
}

// forward records the body that a handler passes on.
func (x *exchange) forward(r *http.Request) {
	if x.body != nil && r.Body != nil {
		x.body.forwarded = &forwardedBody{ReadCloser: r.Body, body: x.body}
		r.Body = x.body.forwarded
	}
}
