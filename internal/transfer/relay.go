package transfer

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/immichaccess/immichaccess/internal/readiness"
)

const (
	relayBuffer = 64 << 10
	// maxRelayBuffers is how many of them may be in use: a client that does not read keeps one. There are small ones for the rest.
	maxRelayBuffers = 128
)

// Relay copies like io.Copy, but has a buffer only while there is something to pass on. The function wait waits as
// readiness.Conn does.
func Relay(to io.Writer, from io.Reader, wait func(read func() error) error) (int64, error) {
	r := relay{from: from}
	passed, read := int64(0), r.read
	for {
		if err := wait(read); err != nil {
			return passed, err
		}
		n, err := r.write(to)
		passed += int64(n)
		if err != nil {
			return passed, err
		}
		if r.err != nil {
			return passed, withoutEOF(r.err)
		}
	}
}

// relay is what was read, and not yet written.
type relay struct {
	from   io.Reader
	buffer *[]byte
	n      int
	err    error
}

// read returns an error only if it has to be called again.
func (r *relay) read() error {
	r.buffer = getRelayBuffer()
	r.n, r.err = r.from.Read(*r.buffer)
	if !errors.Is(r.err, readiness.ErrNotYet) {
		return nil
	}
	r.err = nil
	if r.n > 0 { // and TLS has something incomplete
		return nil
	}
	putRelayBuffer(r.buffer)
	r.buffer = nil
	return readiness.ErrNotYet
}

func (r *relay) write(to io.Writer) (n int, err error) {
	defer func() {
		putRelayBuffer(r.buffer)
		r.buffer = nil
	}()
	if r.n == 0 {
		return 0, nil
	}
	return to.Write((*r.buffer)[:r.n])
}

func withoutEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

var (
	relayBuffers      = sync.Pool{New: func() any { return newBuffer(relayBuffer) }}
	relayBuffersInUse atomic.Int64
)

func newBuffer(size int) *[]byte {
	buffer := make([]byte, size)
	return &buffer
}

func getRelayBuffer() *[]byte {
	if relayBuffersInUse.Add(1) > maxRelayBuffers {
		relayBuffersInUse.Add(-1)
		return newBuffer(socketBuffer)
	}
	return relayBuffers.Get().(*[]byte)
}

func putRelayBuffer(buffer *[]byte) {
	if len(*buffer) == relayBuffer {
		relayBuffersInUse.Add(-1)
		relayBuffers.Put(buffer)
	}
}
