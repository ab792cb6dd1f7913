package server

import (
	"errors"
	"io"
	"net"
	"time"
)

// frameBatch is how much of what HTTP/2 writes is encrypted at once: full TLS records that, encrypted, fit into one batch below.
const frameBatch = batchSize - 16<<10

// frameConn is the connection above TLS on HTTP/2. net/http writes each frame for itself, in a new goroutine whose stack would have to
// grow for TLS, and a full frame is a little more than what fits into a TLS record. So a connection that is busy collects frames,
// and encrypts and writes what there is in the background, in full records and with one system call.
type frameConn struct {
	net.Conn
	batcher

	below    *batchConn
	reader   io.Reader
	splitter frameSplitter // one writer
}

// newFrameConn returns the connection above encrypted, whose records go to below.
func newFrameConn(encrypted net.Conn, below *batchConn) *frameConn {
	c := &frameConn{Conn: encrypted, below: below, reader: acceptLargeFrames(encrypted)}
	below.mu.Lock()
	below.led = true
	below.mu.Unlock()
	c.init(below.batches, frameBatch, c.encrypt, func() {}) // below closes the connection after an error
	return c
}

// encrypt returns when everything is written. The idle timeout is that of below.
func (c *frameConn) encrypt(p []byte) error {
	return c.below.together(func() error {
		_, err := c.Conn.Write(p)
		return err
	})
}

func (c *frameConn) Read(p []byte) (int, error) {
	return c.reader.Read(p)
}

// Write encrypts in this goroutine unless the connection is busy. Then it only collects, with few calls, so that the goroutine's stack
// does not have to grow.
func (c *frameConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	busy := c.isBusy()
	c.held = !busy
	err := c.collectFrames(p)
	c.mu.Unlock()
	if !busy {
		err = errors.Join(err, c.release())
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// collectFrames is called with mu held.
func (c *frameConn) collectFrames(p []byte) (err error) {
	var piece []byte
	for len(p) > 0 && err == nil {
		piece, p = c.splitter.next(p)
		_, err = c.collect(piece)
	}
	return err
}

// Close waits until everything is written, unless the client takes nothing any more.
func (c *frameConn) Close() error {
	c.mu.Lock()
	if c.writing {
		_ = c.below.SetWriteDeadline(time.Now().Add(closeTime))
		_ = c.await()
	}
	c.mu.Unlock()
	return c.Conn.Close()
}
