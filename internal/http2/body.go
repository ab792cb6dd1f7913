package http2

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/flowcontrol"
)

// body is that of a request: what has arrived and was not read yet. The connection's goroutine writes it, without waiting: the window
// bounds how much it can be.
type body struct {
	stream *stream
	length int64         // as announced, -1 if it was not
	window receiveWindow // guarded by the mutex of the connection

	mu        sync.Mutex
	change    sync.Cond
	continues bool // the client waits for 100 Continue
	first     *chunk
	last      *chunk
	unread    int
	total     int64
	err       error // after what is unread
	deadline  time.Time
	timer     *time.Timer
	trailers  http.Header
}

func newBody(s *stream, length int64, continues bool) *body {
	b := &body{stream: s, length: length, continues: continues, window: receiveWindow{open: flowcontrol.UploadWindow}}
	b.change.L = &b.mu
	return b
}

// chunkSize is that of all chunks but small ones.
const chunkSize = 16 << 10

var chunks = sync.Pool{New: func() any { return &chunk{data: make([]byte, chunkSize)} }}

// chunk is a part of a body.
type chunk struct {
	data        []byte
	read, write int
	next        *chunk
}

// newChunk returns one with room for at least one byte, and for size if it is not larger than a chunk.
func newChunk(size int) *chunk {
	const smallest = 1 << 10
	if size <= chunkSize/2 {
		return &chunk{data: make([]byte, max(size, smallest))}
	}
	return chunks.Get().(*chunk)
}

func (k *chunk) free() {
	if len(k.data) == chunkSize {
		*k = chunk{data: k.data}
		chunks.Put(k)
	}
}

// room returns where the next size bytes, or the first of them, may be stored. It returns nil if the body is not read any more.
func (b *body) room(size int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil
	}
	switch {
	case b.last == nil:
		b.first = newChunk(size)
		b.last = b.first
	case b.last.write == len(b.last.data):
		b.last.next = newChunk(size)
		b.last = b.last.next
	}
	space := b.last.data[b.last.write:]
	return space[:min(size, len(space))]
}

// arrived records that bytes were stored. It returns how many of them nobody will read.
func (b *body) arrived(n int) (dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += int64(n)
	if b.err != nil {
		return n
	}
	b.last.write += n
	b.unread += n
	b.change.Broadcast()
	return 0
}

// exceeds reports whether n more bytes are more than was announced.
func (b *body) exceeds(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.length >= 0 && b.total+int64(n) > b.length
}

// end is called when the client has sent all.
func (b *body) end(trailers http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return
	case b.length >= 0 && b.total != b.length:
		b.err = io.ErrUnexpectedEOF
	default:
		b.err, b.trailers = io.EOF, trailers
	}
	b.change.Broadcast()
}

// fail drops what is unread, and returns how much that is.
func (b *body) fail(err error) (dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	dropped, b.unread = b.unread, 0
	b.first, b.last = nil, nil // not reused: the connection may be storing something
	if b.err == nil || dropped > 0 {
		b.err = err
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.change.Broadcast()
	return dropped
}

// Read waits for the client.
func (b *body) Read(p []byte) (int, error) {
	b.askForIt()
	n, err := b.take(p)
	if n > 0 {
		b.stream.consumed(n)
	}
	return n, err
}

func (b *body) take(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 {
		switch {
		case b.unread > 0:
			return b.copy(p), nil
		case b.err != nil:
			b.setTrailers()
			return 0, b.err
		}
		b.change.Wait()
	}
	return 0, nil
}

// copy is called with mu held.
func (b *body) copy(p []byte) (n int) {
	for n < len(p) && b.unread > 0 {
		k := b.first
		copied := copy(p[n:], k.data[k.read:k.write])
		k.read += copied
		n += copied
		b.unread -= copied
		if k.read == len(k.data) { // otherwise, the connection may be storing more
			if b.first = k.next; b.first == nil {
				b.last = nil
			}
			k.free()
		}
	}
	return n
}

// setTrailers sets those that the request has announced.
func (b *body) setTrailers() {
	for name := range b.stream.request.Trailer {
		if values, given := b.trailers[name]; given {
			b.stream.request.Trailer[name] = values
		}
	}
}

// Close has the rest dropped.
func (b *body) Close() error {
	c := b.stream.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.consumed(b.fail(errBodyClosed))
	return nil
}

// askForIt sends 100 Continue, if the client waits for it.
func (b *body) askForIt() {
	b.mu.Lock()
	continues := b.continues && b.unread == 0 && b.err == nil
	b.continues = false
	b.mu.Unlock()
	if continues {
		b.stream.askToContinue()
	}
}

// setDeadline is for Read. When it has passed, nothing more arrives, as in net/http.
func (b *body) setDeadline(t time.Time) {
	b.mu.Lock()
	b.deadline = t
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if !t.IsZero() && t.After(time.Now()) {
		b.timer = time.AfterFunc(time.Until(t), b.expire)
	}
	b.mu.Unlock()
	b.expire()
}

func (b *body) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && !b.deadline.IsZero() && !b.deadline.After(time.Now()) {
		b.err = os.ErrDeadlineExceeded
		b.change.Broadcast()
	}
}
