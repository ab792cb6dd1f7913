package http2

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/immichaccess/immichaccess/internal/semantics"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// stream is a request and its response. Its last fields are guarded by the mutex of the connection.
type stream struct {
	conn    *conn
	id      uint32
	request *http.Request
	handler http.Handler
	body    *body // nil without one
	ctx     transfer.RequestContext

	started     bool  // the handler
	window      int64 // how much the client accepts
	remoteEnded bool  // the client has sent all
	localEnded  bool  // so has the server
	responded   bool  // it has sent a head that is not interim
	err         error // nothing more can be sent
	deadline    time.Time
}

var (
	errReset      = errors.New("HTTP/2: the stream was reset")
	errBodyClosed = errors.New("HTTP/2: the body was closed")
	errFinished   = errors.New("HTTP/2: the handler has returned")
)

// queueFactor is how many times as many requests as run may wait: clients may reset streams and open others before handlers notice.
const queueFactor = 4

// schedule runs the handler, or has it wait for those of streams that have ended; mu is held.
func (c *conn) schedule(s *stream) error {
	if len(c.streams) == 0 {
		c.monitor.Serving(true)
	}
	c.streams[s.id] = s
	c.hasAsked()
	switch {
	case c.running < c.server.MaxStreams:
		c.running++
		s.start()
	case len(c.waiting) < queueFactor*c.server.MaxStreams:
		c.waiting = append(c.waiting, s)
	default:
		return connError{codeCalm, "too many requests are sent and reset"}
	}
	return nil
}

// next runs a handler that has waited; mu is held.
func (c *conn) next() {
	for len(c.waiting) > 0 {
		s := c.waiting[0]
		c.waiting = c.waiting[1:]
		if s.err == nil {
			s.start()
			return
		}
	}
	c.waiting = nil
	c.running--
}

// start is called with mu held.
func (s *stream) start() {
	s.started = true
	go s.serve()
}

// serve runs the handler, and ends the response.
func (s *stream) serve() {
	defer s.leave()
	defer func() { semantics.LogPanic(s.conn.server.Usual, s.conn.template.RemoteAddr, recover()) }()
	w := newResponse(s)
	s.handler.ServeHTTP(w, s.request)
	w.finish()
}

// leave is called when the handler has returned, or has panicked, which aborts its response.
func (s *stream) leave() {
	s.ctx.Cancel()
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.err != nil:
	case !s.localEnded:
		c.resetStream(s, codeInternal, errFinished)
	case !s.remoteEnded:
		c.consumed(s.body.fail(errFinished))
		c.lingering = append(c.lingering, s)
		time.AfterFunc(stopTime, s.stop)
	default:
		s.end(errFinished)
	}
	c.next()
}

// stopTime is how long a client may go on sending after the response. curl 7.88, for one, loses a response that is followed by the reset
// while it sends.
const stopTime = 500 * time.Millisecond

// stop tells a client that still sends to stop (RFC 9113, section 8.1).
func (s *stream) stop() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.lingering = slices.DeleteFunc(s.conn.lingering, func(other *stream) bool { return other == s })
	s.conn.stopStream(s)
}

// stopStream reports whether the stream had not ended yet; mu is held.
func (c *conn) stopStream(s *stream) bool {
	if s.remoteEnded || s.err != nil {
		return false
	}
	c.resetStream(s, codeNone, errFinished)
	return true
}

// makeRoom stops the client on a stream that it may still send on; mu is held.
func (c *conn) makeRoom() bool {
	for len(c.lingering) > 0 {
		s := c.lingering[0]
		c.lingering = c.lingering[1:]
		if c.stopStream(s) {
			return true
		}
	}
	return false
}

// end releases what waits for the stream, and forgets it. Only the first error counts; mu is held.
func (s *stream) end(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.ctx.Cancel()
	if s.body != nil {
		s.conn.consumed(s.body.fail(err))
	}
	if !s.started {
		s.request = nil // while it waits in vain
	}
	s.conn.out.wake(s)
	s.conn.forget(s)
}

// forget is called with mu held.
func (c *conn) forget(s *stream) {
	if c.streams[s.id] == nil {
		return
	}
	delete(c.streams, s.id)
	if len(c.streams) == 0 {
		c.becomeIdle()
	}
}

// find returns nil for a stream that has ended, or not begun.
func (c *conn) find(id uint32) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[id]
}

// reset is called by the goroutine that reads, for a stream that may have ended meanwhile, or was refused.
func (c *conn) reset(id uint32, code errCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil {
		s = &stream{conn: c, id: id, remoteEnded: id != c.newest || c.head.ends}
	}
	c.resetStream(s, code, errReset)
}

// resetStream is called with mu held.
func (c *conn) resetStream(s *stream, code errCode, err error) {
	if s.err != nil {
		return
	}
	c.out.queue(appendNumber(nil, frameRSTStream, s.id, uint32(code)))
	if !s.remoteEnded {
		c.ignore(s.id)
	}
	s.end(err)
}

// mostIgnored bounds what is remembered of streams that the client may never end.
const mostIgnored = 1 << 10

// ignore has what the client still sends on a stream dropped: it may not know yet that the stream was reset. mu is held.
func (c *conn) ignore(id uint32) {
	if len(c.ignored) >= mostIgnored {
		clear(c.ignored)
	}
	c.ignored[id] = struct{}{}
}

// ignores reports whether frames of a stream are dropped; after the last, no more are. mu is held.
func (c *conn) ignores(id uint32, last bool) bool {
	_, ignored := c.ignored[id]
	if last {
		delete(c.ignored, id)
	}
	return ignored
}

// trailersReceived takes the second head of a stream, which ends the body.
func (s *stream) trailersReceived(head *headReader) error {
	malformed := func(reason string) error { return streamError{s.id, connError{codeProtocol, reason}} }
	switch {
	case s.hasEnded():
		return streamError{s.id, connError{codeStreamClosed, "HEADERS after the end of a request"}}
	case !head.ends:
		return malformed("trailers do not end the request")
	case head.malformed || head.oversized || head.pseudo.seen != 0:
		return malformed("trailers are malformed")
	}
	s.received(head.header)
	return nil
}

// hasEnded reports whether the client has sent all of the request.
func (s *stream) hasEnded() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.remoteEnded
}

// received is called when it has.
func (s *stream) received(trailers http.Header) {
	s.conn.mu.Lock()
	s.remoteEnded = true
	if s.localEnded {
		s.conn.forget(s)
	}
	s.conn.mu.Unlock()
	s.body.end(trailers)
}
