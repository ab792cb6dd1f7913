package server

import (
	"net"
	"net/http"

	"github.com/immichaccess/immichaccess/internal/handover"
	"github.com/immichaccess/immichaccess/internal/http2"
)

// newPlain returns an entry point without TLS, for proxies that terminate TLS. They use HTTP/1.1, or HTTP/2 with prior
// knowledge (RFC 9113, section 3.3).
func (c *common) newPlain(listener net.Listener, handler http.Handler) *entryPoint {
	e := c.newEntryPoint("plain HTTP", listener, handler)
	e.http1.Handler = handOver(e.http2, e.http1.Handler)
	e.serve = e.http1.Serve
	return e
}

// http1Preface is how the preface of HTTP/2 begins. In HTTP/1.1 it is a request, which net/http passes to the handler for this
// purpose.
const http1Preface = "PRI * HTTP/2.0\r\n\r\n"

// handOver hijacks the connections that begin with the preface of HTTP/2, and passes them to the server of HTTP/2.
func handOver(s *http2.Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "PRI" || r.ProtoMajor != 2 || len(r.Header) > 0 {
			next.ServeHTTP(w, r)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return // the client has disconnected
		}
		rest, _ := buffered.Peek(buffered.Reader.Buffered()) // can't fail
		limited := limitedConnOf(conn)
		limited.tracked.startOver()
		serveHTTP2(s, handover.NewConn(conn, []byte(http1Preface), rest), limited, nil)
	})
}
