package http1

import (
	"bufio"
	"errors"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

// watchDelay is how long a request runs before its connection is watched. Most are answered sooner, and watching takes a goroutine.
const watchDelay = 100 * time.Millisecond

// past is a deadline that ends a pending read.
var past = time.Unix(1, 0)

// watch cancels a request that takes long when its client disconnects.
type watch struct {
	conn  *conn
	timer *time.Timer

	mu      sync.Mutex
	change  sync.Cond
	ctx     *transfer.RequestContext // of the request that is running, if any
	reading bool
}

func (w *watch) init(c *conn) {
	w.conn = c
	w.change.L = &w.mu
}

func (w *watch) begin(ctx *transfer.RequestContext) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx = ctx
	if w.timer == nil {
		w.timer = time.AfterFunc(watchDelay, w.read)
		return
	}
	w.timer.Reset(watchDelay)
}

// end returns when nothing is read any more. It may be called without begin.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil {
		return
	}
	w.ctx.Cancel()
	w.ctx = nil
	w.timer.Stop()
	if !w.reading {
		return
	}
	_ = w.conn.SetReadDeadline(past)
	for w.reading {
		w.change.Wait()
	}
	_ = w.conn.SetReadDeadline(time.Time{})
}

// read waits for the end of the connection, and keeps the requests that arrive before. If a request has ended just before, the
// next may be watched sooner than it would be.
func (w *watch) read() {
	if !w.startReading() {
		return
	}
	err := readAhead(w.conn.reader)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = false
	w.change.Broadcast()
	if err != nil && w.ctx != nil {
		w.ctx.Cancel()
	}
}

// readAhead returns the error that ends the connection, or nil when the buffer is full. What a client has sent already does not tell
// whether it is still there.
func readAhead(reader *bufio.Reader) error {
	for {
		_, err := reader.Peek(reader.Buffered() + 1)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil
		case err != nil:
			return err
		}
	}
}

func (w *watch) startReading() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.reading {
		return false
	}
	w.reading = true
	w.conn.expires.Clear()
	_ = w.conn.SetReadDeadline(time.Time{})
	return true
}

func (w *watch) cancelRequest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx != nil {
		w.ctx.Cancel()
	}
}
