package http2

import (
	"bytes"
	"slices"

	"golang.org/x/net/http2/hpack"
)

const (
	// mostQueued is how many bytes of frames that don't wait, such as answers to PING, may be kept for a client that reads none.
	mostQueued = 256 << 10
	// turnSize is how much of a body a stream may write until it is the turn of another.
	turnSize = 64 << 10
	// smallSize is how much streams may leave to the one that is writing.
	smallSize = 16 << 10
)

// output is the sending side of a connection. At any time, one goroutine writes, usually that of a handler. Others wait for their turn,
// or leave small frames to be written next. All fields are guarded by the mutex of the connection.
type output struct {
	conn    *conn
	writing bool
	queued  []byte  // to be written next
	turns   []*turn // that are waited for
	window  int64   // how much the client accepts on all streams together
	initial int64   // and on a new stream
	encoder *hpack.Encoder
	block   bytes.Buffer // what encoder writes
	err     error
}

func (o *output) init(c *conn) {
	o.conn, o.window, o.initial = c, defaultWindow, defaultWindow
	o.encoder = hpack.NewEncoder(&o.block)
}

// queue has frames written without waiting for it; mu is held.
func (o *output) queue(frames []byte) {
	if o.err != nil {
		return
	}
	o.queued = append(o.queued, frames...)
	if len(o.queued) > mostQueued {
		o.fail(connError{codeCalm, "the client reads no answers"})
		return
	}
	if !o.writing {
		o.writing = true
		go o.flush()
	}
}

// flush takes a turn for what is queued.
func (o *output) flush() {
	o.conn.mu.Lock()
	defer o.conn.mu.Unlock()
	_ = o.write(o.take(nil), nil) // which ends the connection after an error
}

// take returns frames, preceded by what was queued; mu is held.
func (o *output) take(frames []byte) []byte {
	frames = append(frames, o.queued...)
	o.queued = nil
	return frames
}

// write writes frames and DATA, and ends the turn; mu is held, but released meanwhile.
func (o *output) write(frames []byte, data func(frames []byte) []byte) error {
	if o.err == nil {
		o.conn.mu.Unlock()
		if data != nil {
			frames = data(frames)
		}
		_, err := o.conn.raw.Write(frames)
		o.conn.mu.Lock()
		if err != nil {
			o.fail(err)
		}
	}
	o.pass()
	return o.err
}

// pass lets another write; mu is held.
func (o *output) pass() {
	o.writing = false
	if len(o.queued) > 0 {
		o.writing = true
		go o.flush()
		return
	}
	o.grant()
	o.conn.endWhenDone()
}

// grant gives the turn to the first that can use it; mu is held.
func (o *output) grant() {
	if o.writing {
		return
	}
	for i, t := range o.turns {
		if t.isUsable() {
			o.turns = slices.Delete(o.turns, i, i+1)
			o.writing, t.granted = true, true
			t.wake()
			return
		}
	}
}

// wake is for those who wait for a turn of a stream that has ended; mu is held.
func (o *output) wake(s *stream) {
	for _, t := range o.turns {
		if t.stream == s {
			t.wake()
		}
	}
}

// fail ends the connection; mu is held.
func (o *output) fail(err error) {
	o.close(err)
	go o.conn.abandon(err)
}

// close makes all later writes fail; mu is held.
func (o *output) close(err error) {
	if o.err == nil {
		o.err = err
	}
	o.queued = nil
}
