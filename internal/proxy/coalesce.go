package proxy

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// coalesceTime is the least time between writes of less than coalesceSize.
	coalesceTime = time.Millisecond
	// coalesceSize is written without waiting for more. It leaves room in the buffer for another piece; and to write still more at once
	// is not cheaper.
	coalesceSize = 24 << 10
)

var uploadBuffers = newBuffers()

// ReadFrom is what http.Transport sends the body of a request with. The pieces that a client sends are as small as the frames of its
// protocol, and to write one costs the processor as much as a few of them. So those that come within coalesceTime are written together.
func (c *upstreamConn) ReadFrom(body io.Reader) (int64, error) {
	w := &coalescer{conn: c, buffer: uploadBuffers.Get()}
	defer w.end()
	total := int64(0)
	for {
		n, err := body.Read(w.buffer[w.filled:])
		total += int64(n)
		if err := w.add(n, err != nil); err != nil {
			return total, err
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// coalescer writes what is in its buffer when that is enough, or when the last write was long enough ago. Otherwise, a timer does so,
// since the next piece may take long to come.
type coalescer struct {
	conn   *upstreamConn
	buffer []byte

	mu      sync.Mutex
	filled  int
	written int // of what is filled
	last    time.Time
	timer   *time.Timer
	armed   bool
	err     error
}

// add counts what has been read into the buffer.
func (w *coalescer) add(n int, last bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.filled += n
	wait := coalesceTime - time.Since(w.last)
	switch {
	case last, wait <= 0, w.filled >= coalesceSize:
		w.write()
		w.filled, w.written = 0, 0
	case !w.armed:
		w.arm(wait)
	}
	return w.err
}

// write is called with mu held.
func (w *coalescer) write() {
	if w.err == nil && w.written < w.filled {
		_, w.err = w.conn.Write(w.buffer[w.written:w.filled])
		w.written, w.last = w.filled, time.Now()
	}
}

// arm is called with mu held.
func (w *coalescer) arm(wait time.Duration) {
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(wait, w.flush)
	} else {
		w.timer.Reset(wait)
	}
}

// flush runs while the next piece is read into the rest of the buffer.
func (w *coalescer) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.write()
}

// end makes a timer that runs out now find nothing in the buffer.
func (w *coalescer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.filled, w.written = 0, 0
	uploadBuffers.Put(w.buffer)
	if w.timer != nil {
		w.timer.Stop()
	}
}
