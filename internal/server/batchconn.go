package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/readiness"
)

const (
	// batchSize is how much of what is written to a connection is collected while an earlier batch is being written. A busy
	// connection has two such buffers, an idle one none.
	batchSize = 128 << 10
	// maxBatches is how many buffers all connections together may use; connections that get none write without one.
	maxBatches = 128
	// closeTime is how long a client may read nothing while the rest is written before the connection is closed.
	closeTime = 5 * time.Second
	// busyTime is how soon after another a write counts as one of many.
	busyTime = 300 * time.Microsecond
)

// batches are the buffers of all connections.
type batches struct {
	idle      time.Duration
	busyTime  time.Duration
	abandoned atomic.Bool // connections close without waiting for them
	inUse     atomic.Int64
	pool      sync.Pool
}

func newBatches(idle time.Duration) *batches {
	return &batches{idle: idle, busyTime: busyTime}
}

// listen returns a listener that accepts connections which write in batches.
func (b *batches) listen(l net.Listener) net.Listener {
	return &batchListener{l, b}
}

// abandon makes connections close without waiting for what is being written.
func (b *batches) abandon() {
	b.abandoned.Store(true)
}

// get returns nil if there are too many.
func (b *batches) get() *[]byte {
	if b.inUse.Add(1) > maxBatches {
		b.inUse.Add(-1)
		return nil
	}
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, 0, batchSize)
	return &buffer
}

func (b *batches) put(buffer *[]byte) {
	if buffer == nil {
		return
	}
	*buffer = (*buffer)[:0]
	b.inUse.Add(-1)
	b.pool.Put(buffer)
}

type batchListener struct {
	net.Listener

	batches *batches
}

func (l *batchListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newBatchConn(conn, l.batches), nil
}

// batcher collects what is written to a connection while an earlier batch is being sent. An error is returned by the next write.
type batcher struct {
	batches *batches
	size    int
	send    func(batch []byte) error
	ended   func() // called, with mu held, when everything is written, or nothing more can be

	mu      sync.Mutex
	change  sync.Cond
	pending *[]byte // nil when nothing is collected
	held    bool    // pending is not sent before it is full
	writing bool    // in the background
	err     error
	last    time.Time // when something was written
}

func (b *batcher) init(all *batches, size int, send func([]byte) error, ended func()) {
	b.batches, b.size, b.send, b.ended = all, size, send, ended
	b.change.L = &b.mu
}

// isBusy reports whether a write is one of many; mu is held.
func (b *batcher) isBusy() bool {
	now := time.Now()
	recent := now.Sub(b.last) < b.batches.busyTime
	b.last = now
	return b.err == nil && (b.writing || recent)
}

// await returns when no write is running in the background; mu is held.
func (b *batcher) await() error {
	for b.writing {
		if b.batches.abandoned.Load() {
			return net.ErrClosed
		}
		b.change.Wait()
	}
	return b.err
}

// collect returns when all of p is in batches; mu is held.
func (b *batcher) collect(p []byte) (int, error) {
	collected := 0
	for b.err == nil {
		if b.pending == nil {
			b.pending = b.batches.get()
		}
		switch {
		case b.pending != nil:
			n := min(len(p)-collected, b.size-len(*b.pending))
			*b.pending = append(*b.pending, p[collected:collected+n]...)
			collected += n
			b.start()
			if collected == len(p) {
				return collected, nil
			}
		case !b.writing: // there is no buffer, and nothing to wait for
			if err := b.writeDirectly(p[collected:]); err != nil {
				return collected, err
			}
			return len(p), nil
		}
		b.change.Wait()
	}
	return collected, b.err
}

// writeDirectly is called with mu held, but releases it while it writes. The idle timeout is the same as for a batch.
func (b *batcher) writeDirectly(p []byte) error {
	b.writing = true
	b.mu.Unlock()
	err := b.send(p)
	b.mu.Lock()
	b.err = err
	b.endWriting()
	return err
}

// endWriting is called with mu held.
func (b *batcher) endWriting() {
	b.writing = false
	b.ended()
	b.change.Broadcast()
}

func (b *batcher) start() {
	if !b.writing && (!b.held || len(*b.pending) == b.size) {
		b.writing = true
		go func() {
			growStack()
			b.writeBatches()
		}()
	}
}

// writeBatches writes while there is something to write.
func (b *batcher) writeBatches() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && b.pending != nil {
		batch := b.pending
		b.pending = nil
		b.change.Broadcast() // there is room
		b.mu.Unlock()
		err := b.send(*batch)
		b.batches.put(batch)
		b.mu.Lock()
		b.err = err
	}
	b.batches.put(b.pending)
	b.pending = nil
	b.endWriting()
}

// together sends in batches what write writes to the connection, however small the writes are, and returns when all is written.
func (b *batcher) together(write func() error) error {
	b.mu.Lock()
	b.held = true
	b.mu.Unlock()
	err := write()
	return errors.Join(err, b.release())
}

// release writes what was held, and returns when all is written.
func (b *batcher) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = false
	if !b.writing && b.pending != nil {
		b.writing = true
		b.mu.Unlock()
		b.writeBatches()
		b.mu.Lock()
	}
	return b.await()
}

// batchConn is the connection below TLS, which makes a call for each record. Those of a large write are sent together, with one system
// call, where the caller asks for it, as in a download over HTTP/1.1. Otherwise, while the connection is busy, it writes in the
// background, and meanwhile collects the records that TLS has ready.
//
// With a deadline, nothing is written in the background. Deadlines are set by callers that need the result of a write: net/http
// and transfer at the end of a response, TLS when it closes, WebSockets. Their Write returns when everything is written.
// Without one, the connection is closed when the client has read nothing for the idle timeout.
type batchConn struct {
	net.Conn
	batcher

	led      bool      // the user decides what is written together
	deadline time.Time // as set by the caller
	patience time.Duration
}

func newBatchConn(conn net.Conn, all *batches) *batchConn {
	c := &batchConn{Conn: readiness.New(conn)}
	c.init(all, batchSize, c.writeAll, c.endBatches)
	return c
}

// lead is for a user that calls together. Other writes, such as TLS's own, do not wait for the client then.
func (c *batchConn) lead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.led = true
}

// NetConn returns the connection below.
func (c *batchConn) NetConn() net.Conn {
	return c.Conn
}

func (c *batchConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.collects() {
		defer c.mu.Unlock()
		return c.collect(p)
	}
	err := c.await()
	limited := !c.deadline.IsZero()
	if err == nil && !limited {
		err = c.writeDirectly(p)
	}
	c.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case limited:
		return c.Conn.Write(p)
	}
	return len(p), nil
}

// collects reports whether a write is for the background; mu is held.
func (c *batchConn) collects() bool {
	if c.held {
		return true
	}
	return (c.led || c.isBusy()) && c.deadline.IsZero() // TLS writes by itself, too, when a client updates its keys
}

// endBatches closes the connection after an error, which might otherwise go unnoticed until the client sends something. mu is held.
func (c *batchConn) endBatches() {
	switch {
	case c.err != nil:
		_ = c.Conn.Close()
	case c.deadline.IsZero():
		_ = c.Conn.SetWriteDeadline(time.Time{})
	}
}

// writeAll continues as long as the client reads something before the deadline.
func (c *batchConn) writeAll(p []byte) error {
	for {
		if !c.extendDeadline(false) {
			return os.ErrDeadlineExceeded
		}
		n, err := c.Conn.Write(p)
		p = p[n:]
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.extendDeadline(true) {
			return err
		}
	}
}

// extendDeadline returns false on a closed connection, or if the deadline was meant to end the write.
func (c *batchConn) extendDeadline(over bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.deadline.IsZero():
		return c.Conn.SetWriteDeadline(time.Now().Add(c.batches.idle)) == nil
	case over:
		return c.Conn.SetWriteDeadline(time.Now().Add(c.patience)) == nil
	}
	return true
}

// SetWriteDeadline applies to a background write, too, where it limits how long the client may read nothing: there is more to
// write than when it was set.
func (c *batchConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline, c.patience = t, time.Until(t)
	if t.IsZero() && c.writing {
		t = time.Now().Add(c.batches.idle)
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is that of reads and writes.
func (c *batchConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close waits until everything is written, unless the client no longer reads: TLS has waited before, for its alert, but without
// TLS nothing has.
func (c *batchConn) Close() error {
	c.mu.Lock()
	if c.writing {
		c.deadline, c.patience = time.Now().Add(closeTime), closeTime
		_ = c.Conn.SetWriteDeadline(c.deadline)
		_ = c.await()
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends the stream when everything is written.
func (c *batchConn) CloseWrite() error {
	c.mu.Lock()
	err := c.await()
	c.mu.Unlock()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && err == nil {
		return half.CloseWrite()
	}
	return errors.Join(err, c.Conn.Close())
}
