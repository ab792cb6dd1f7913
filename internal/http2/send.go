package http2

import (
	"cmp"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// turnBuffers hold what is written in one turn.
var turnBuffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, turnSize+smallSize)
	return &buffer
}}

// send writes a head, if there is one, and body. It returns how much of the body was written.
func (s *stream) send(head *responseHead, body []byte, last bool) (written int, err error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.responded = s.responded || head != nil && !head.interim
	for {
		n, err := s.sendPart(head, body[written:], last)
		written += n
		if err != nil || written == len(body) {
			return written, err
		}
		head = nil
	}
}

// askToContinue sends 100 Continue, unless the response has begun: then it would be malformed.
func (s *stream) askToContinue() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.err == nil && !s.responded {
		head := newHead(http.StatusContinue, nil)
		s.conn.out.queue(s.appendHead(nil, &head, nil, false))
	}
}

// sendPart writes as much as the windows and one turn allow; mu is held, but released meanwhile.
func (s *stream) sendPart(head *responseHead, body []byte, last bool) (n int, err error) {
	o := &s.conn.out
	if s.err == nil && o.writing && s.isSmall(len(body)) {
		o.queued = s.appendPart(s.appendHead(o.queued, head, body, last), head, body, last)
		s.sent(len(body))
		s.ended(last)
		return len(body), nil
	}
	if err := s.await(head == nil && len(body) > 0); err != nil { // a head needs no window
		return 0, err
	}
	n = int(max(0, min(int64(len(body)), turnSize, s.window, o.window)))
	body, last = body[:n], last && n == len(body)
	buffer := turnBuffers.Get().(*[]byte)
	defer turnBuffers.Put(buffer)
	frames := s.appendHead(o.take((*buffer)[:0]), head, body, last)
	s.sent(n)
	err = o.write(frames, func(frames []byte) []byte {
		return s.appendPart(frames, head, body, last)
	})
	s.ended(last)
	return n, err
}

// isSmall reports whether so much may be left to the one that is writing; mu is held.
func (s *stream) isSmall(size int) bool {
	o := &s.conn.out
	return o.err == nil && len(o.queued)+size <= smallSize && int64(size) <= min(s.window, o.window)
}

// appendHead encodes the head; mu is held, since the client decodes heads in the order in which they were encoded.
func (s *stream) appendHead(frames []byte, head *responseHead, body []byte, last bool) []byte {
	if head == nil {
		return frames
	}
	return appendHeaders(frames, s.id, s.conn.out.encode(head), last && len(body) == 0)
}

// appendPart appends the DATA frames, unless the head has ended the stream.
func (s *stream) appendPart(frames []byte, head *responseHead, body []byte, last bool) []byte {
	if len(body) == 0 && (head != nil || !last) {
		return frames
	}
	return appendData(frames, s.id, body, last)
}

// sent is called with mu held.
func (s *stream) sent(n int) {
	s.window -= int64(n)
	s.conn.out.window -= int64(n)
}

// ended records that the response is written, if this was the last of it; mu is held.
func (s *stream) ended(last bool) {
	if !last {
		return
	}
	s.localEnded = true
	if s.remoteEnded {
		s.conn.forget(s)
	}
}

// await returns when it is the stream's turn; mu is held, but released meanwhile.
func (s *stream) await(hasBody bool) error {
	o := &s.conn.out
	t := &turn{stream: s, hasBody: hasBody}
	if len(o.turns) == 0 && !o.writing && t.isUsable() {
		t.granted, o.writing = true, true
	} else {
		t.wait()
	}
	switch err := cmp.Or(s.err, o.err); {
	case !t.granted:
		o.turns = slices.DeleteFunc(o.turns, func(other *turn) bool { return other == t })
		return err
	case err != nil:
		o.pass()
		return err
	}
	return nil
}

// turn is what a goroutine waits for that sends a part of a response.
type turn struct {
	stream  *stream
	hasBody bool // so it needs some of the window
	granted bool
	woken   chan struct{}
}

// isUsable is true if the turn needs no window, or there is some; mu is held.
func (t *turn) isUsable() bool {
	return !t.hasBody || min(t.stream.window, t.stream.conn.out.window) > 0
}

// wait returns when the turn is granted, or never will be; mu is held, but released meanwhile.
func (t *turn) wait() {
	s, o := t.stream, &t.stream.conn.out
	t.woken = make(chan struct{}, 1)
	o.turns = append(o.turns, t)
	o.grant()
	timer := s.limitWait()
	for !t.granted && s.err == nil && o.err == nil {
		s.conn.mu.Unlock()
		<-t.woken
		s.conn.mu.Lock()
	}
	if timer != nil {
		timer.Stop()
	}
}

func (t *turn) wake() {
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

// setWriteDeadline limits how long the stream waits for the client. A deadline in the past ends it.
func (s *stream) setWriteDeadline(t time.Time) {
	s.conn.mu.Lock()
	s.deadline = t
	if slices.ContainsFunc(s.conn.out.turns, func(t *turn) bool { return t.stream == s }) {
		s.limitWait()
	}
	s.conn.mu.Unlock()
	s.expire()
}

// limitWait returns nil without a deadline; mu is held.
func (s *stream) limitWait() *time.Timer {
	if s.deadline.IsZero() {
		return nil
	}
	return time.AfterFunc(time.Until(s.deadline), s.expire)
}

// expire ends a stream whose deadline has passed in the meantime, and was not moved.
func (s *stream) expire() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if !s.deadline.IsZero() && !s.deadline.After(time.Now()) {
		s.conn.resetStream(s, codeInternal, os.ErrDeadlineExceeded)
	}
}
