package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// batchSize is how much of what is written to a connection is collected while an earlier batch is being written. A busy
	// connection has two such buffers, an idle one none.
	batchSize = 128 << 10
	// maxBatches is how many buffers all connections together may use; connections that get none write directly.
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

// batchConn is the connection below TLS. While it is busy, with a download or with many requests of HTTP/2, it writes in the
// background, and meanwhile collects the records that TLS has ready, so that one system call writes many of them. TLS makes a
// call for each, and HTTP/2 has at least two per response. An error is returned by the next Write.
//
// With a deadline, nothing is written in the background. Deadlines are set by callers that need the result of a write: net/http
// and transfer at the end of a response, TLS when it closes, WebSockets. Their Write returns when everything is written.
// Without one, the connection is closed when the client has read nothing for the idle timeout.
type batchConn struct {
	net.Conn

	batches *batches

	mu       sync.Mutex
	change   sync.Cond
	pending  *[]byte   // nil if nothing is collected
	writing  bool      // in the background
	deadline time.Time // as set by the caller
	patience time.Duration
	err      error
	last     time.Time // when something was written
}

func newBatchConn(conn net.Conn, b *batches) *batchConn {
	c := &batchConn{Conn: conn, batches: b}
	c.change.L = &c.mu
	return c
}

func (c *batchConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.collects() {
		defer c.mu.Unlock()
		return c.collect(p)
	}
	err := c.await()
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// collects reports whether a write is for the background; mu is held.
func (c *batchConn) collects() bool {
	now := time.Now()
	busy := now.Sub(c.last) < c.batches.busyTime
	c.last = now
	return c.err == nil && c.deadline.IsZero() && (c.writing || busy)
}

// await returns when no write is running in the background; mu is held.
func (c *batchConn) await() error {
	for c.writing {
		if c.batches.abandoned.Load() {
			return net.ErrClosed
		}
		c.change.Wait()
	}
	return c.err
}

// collect returns when all of p is in batches; mu is held.
func (c *batchConn) collect(p []byte) (int, error) {
	collected := 0
	for c.err == nil {
		if c.pending == nil {
			c.pending = c.batches.get()
		}
		switch {
		case c.pending != nil:
			n := min(len(p)-collected, batchSize-len(*c.pending))
			*c.pending = append(*c.pending, p[collected:collected+n]...)
			collected += n
			c.start()
			if collected == len(p) {
				return collected, nil
			}
		case !c.writing: // there is no buffer, and nothing to wait for
			n, err := c.writeDirectly(p[collected:])
			return collected + n, err
		}
		c.change.Wait()
	}
	return collected, c.err
}

// writeDirectly is called with mu held, but releases it while it writes.
func (c *batchConn) writeDirectly(p []byte) (int, error) {
	c.mu.Unlock()
	defer c.mu.Lock()
	return c.Conn.Write(p)
}

func (c *batchConn) start() {
	if !c.writing {
		c.writing = true
		go c.writeBatches()
	}
}

// writeBatches runs in the background while there is something to write.
func (c *batchConn) writeBatches() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.pending != nil {
		batch := c.pending
		c.pending = nil
		c.change.Broadcast() // there is room
		c.mu.Unlock()
		err := c.writeAll(*batch)
		c.batches.put(batch)
		c.mu.Lock()
		c.err = err
	}
	c.batches.put(c.pending)
	c.pending = nil
	c.writing = false
	switch {
	case c.err != nil:
		_ = c.Conn.Close() // otherwise this might go unnoticed until the client sends something
	case c.deadline.IsZero():
		_ = c.Conn.SetWriteDeadline(time.Time{})
	}
	c.change.Broadcast()
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

// extendDeadline returns false if the deadline was meant to end the write.
func (c *batchConn) extendDeadline(over bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.deadline.IsZero():
		return c.Conn.SetWriteDeadline(time.Now().Add(c.batches.idle)) == nil
	case c.patience <= 0:
		return false
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
