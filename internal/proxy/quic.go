package proxy

import (
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// quicBufferSize is how much of a response is read at once for a client of HTTP/3. With each piece that is written, quic-go's
	// goroutines first run out of data and then are woken.
	quicBufferSize = 1 << 20
	// maxQUICBuffers is how many of them may be in use: a client that stops reading keeps one. The rest get those of bufferSize.
	maxQUICBuffers = 32
)

// withQUICBuffers has a copy of the proxy serve clients of HTTP/3.
func withQUICBuffers(p *httputil.ReverseProxy, buffers *quicBuffers) http.Handler {
	overQUIC := *p
	overQUIC.BufferPool = buffers
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 3 {
			overQUIC.ServeHTTP(w, r)
			return
		}
		p.ServeHTTP(w, r)
	})
}

type quicBuffers struct {
	others *buffers
	pool   sync.Pool
	inUse  atomic.Int64
}

func newQUICBuffers(others *buffers) *quicBuffers {
	return &quicBuffers{others: others, pool: sync.Pool{New: func() any { return new([quicBufferSize]byte) }}}
}

func (b *quicBuffers) Get() []byte {
	if b.inUse.Add(1) > maxQUICBuffers {
		b.inUse.Add(-1)
		return b.others.Get()
	}
	return b.pool.Get().(*[quicBufferSize]byte)[:]
}

// next exchanges the buffer of a client: there is a large one for those that take at once what fills theirs. One that is slow would
// keep it long.
func (b *quicBuffers) next(buffer []byte, filled bool, took time.Duration) []byte {
	const quick = 100 * time.Millisecond
	switch {
	case took >= quick:
		b.Put(buffer)
		return b.others.Get()
	case filled:
		b.Put(buffer)
		return b.Get()
	}
	return buffer
}

// Put takes the other buffers back, too.
func (b *quicBuffers) Put(buffer []byte) {
	if len(buffer) != quicBufferSize {
		b.others.Put(buffer)
		return
	}
	b.pool.Put((*[quicBufferSize]byte)(buffer))
	b.inUse.Add(-1)
}
