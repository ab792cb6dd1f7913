package proxy

import (
	"net/http"
	"net/http/httputil"
	"sync"
)

// quicBufferSize is how much of a response is read at once for a client of HTTP/3. Each piece that is written wakes two of quic-go's
// goroutines, and a piece of bufferSize is sent before they have anything else to do.
const quicBufferSize = 256 << 10

// withQUICBuffers has a copy of the proxy serve clients of HTTP/3.
func withQUICBuffers(p *httputil.ReverseProxy) http.Handler {
	overQUIC := *p
	overQUIC.BufferPool = &quicBuffers{sync.Pool{New: func() any { return new([quicBufferSize]byte) }}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 3 {
			overQUIC.ServeHTTP(w, r)
			return
		}
		p.ServeHTTP(w, r)
	})
}

type quicBuffers struct {
	pool sync.Pool
}

func (b *quicBuffers) Get() []byte {
	return b.pool.Get().(*[quicBufferSize]byte)[:]
}

func (b *quicBuffers) Put(buffer []byte) {
	b.pool.Put((*[quicBufferSize]byte)(buffer))
}
