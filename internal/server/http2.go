package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"

	"github.com/immichaccess/immichaccess/internal/http2"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// maxStreams is how many requests of one connection may run at the same time. RFC 9113 recommends at least 100.
const maxStreams = 128

// newHTTP2 returns the server of clients that use HTTP/2. It is for the same requests as the usual one.
func newHTTP2(shared *common, usual *http.Server, handler http.Handler) *http2.Server {
	return &http2.Server{
		Handler:     withStack(handler),
		Usual:       usual,
		HeadTimeout: usual.ReadHeaderTimeout,
		KeepAlive:   usual.IdleTimeout,
		MaxHead:     maxHead,
		MaxStreams:  maxStreams,
		Uploads:     shared.uploads,
	}
}

// withStack is for handlers that run in a new goroutine for each request.
func withStack(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		growStack()
		next.ServeHTTP(w, r)
	})
}

// growStack makes the stack of a new goroutine, which has 2 KB, as large as a request needs. It would be doubled repeatedly and copied each
// time, which takes a tenth of a small request's time.
//
//go:noinline
func growStack() {
	var room [stackRoom]byte
	runtime.KeepAlive(&room)
}

// stackRoom makes the stack grow to 8 KB.
const stackRoom = 4 << 10

// nextHTTP2 is the TLSNextProto of the server that accepts the connections.
func nextHTTP2(s *http2.Server) map[string]func(*http.Server, *tls.Conn, http.Handler) {
	return map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) {
			state, limited := conn.ConnectionState(), conn.NetConn().(*limitedConn)
			serveHTTP2(s, conn, limited, &state)
		},
	}
}

// serveHTTP2 returns when the connection has ended. The state is nil without TLS.
func serveHTTP2(s *http2.Server, conn net.Conn, limited *limitedConn, state *tls.ConnectionState) {
	limited.inHead.Store(false) // the server tells how much it has received
	limited.batches.lead()
	ctx := context.WithValue(context.Background(), connKey{}, limited.tracked)
	s.Serve(ctx, &togetherConn{conn, limited}, state, limited.tracked)
}

// togetherConn is a connection that sends what is written at once with one system call: with TLS, that is many records.
type togetherConn struct {
	net.Conn

	limited *limitedConn
}

func (c *togetherConn) Write(p []byte) (n int, err error) {
	err = c.limited.WriteTogether(func() error {
		n, err = c.Conn.Write(p)
		return err
	})
	return n, err
}

// CloseWrite leaves the connection open for what the client still sends.
func (c *togetherConn) CloseWrite() error {
	return transfer.CloseWrite(c.Conn)
}
