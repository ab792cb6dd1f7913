package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/flowcontrol"
	"github.com/immichaccess/immichaccess/internal/handover"
)

// frameSize is the smallest HTTP/2 allows. A connection keeps a buffer for the largest frame it has seen, and Go's default
// lets that be 1 MB.
const frameSize = 16 << 10

// newHTTP2 returns the server of the connections that an http2Listener accepts. It gets them without TLS, since that is the
// only way to make net/http use HTTP/2 on a metered connection; the handler sees that they have TLS.
func newHTTP2(timeouts *config.Timeouts, handler http.Handler, logger *slog.Logger) *http.Server {
	server := newHTTP(timeouts, withTLS(handler), logger)
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		handed := conn.(*http2Conn)
		return context.WithValue(context.WithValue(ctx, tlsKey{}, handed.state), connKey{}, handed.tracked)
	}
	server.ConnState = followHTTP2
	server.MaxHeaderBytes = maxHead - maxHeadSlopHTTP2
	server.Protocols = new(http.Protocols)
	server.Protocols.SetUnencryptedHTTP2(true)
	// According to its documentation, net/http limits windows to 4 MB, but it does not.
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReadFrameSize:              frameSize,
		MaxReceiveBufferPerConnection: flowcontrol.UploadWindow,
		MaxReceiveBufferPerStream:     flowcontrol.UploadWindow,
	}
	return server
}

const (
	// maxStreams is how many requests of one connection may run at the same time. RFC 9113 recommends at least 100.
	maxStreams = 128
	// maxHeadSlopHTTP2 is what net/http adds to MaxHeaderBytes for HTTP/2.
	maxHeadSlopHTTP2 = 320
)

type tlsKey struct{}

func withTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		growStack()
		r.TLS, _ = r.Context().Value(tlsKey{}).(*tls.ConnectionState)
		next.ServeHTTP(w, r)
	})
}

// growStack makes the stack of a goroutine as large as a request needs. Over HTTP/2, each request has a new goroutine, whose stack of 2 KB
// would be doubled repeatedly and copied each time, which takes a tenth of a small request's time.
//
//go:noinline
func growStack() {
	var room [stackRoom]byte
	runtime.KeepAlive(&room)
}

// stackRoom makes the stack grow to 8 KB.
const stackRoom = 4 << 10

// http2Listener is a net.Listener for the connections of clients that use HTTP/2, as negotiated by TLS.
type http2Listener struct {
	*handover.Listener

	uploads     *flowcontrol.HTTP2
	headTimeout time.Duration
}

func newHTTP2Listener(address net.Addr, uploads *flowcontrol.HTTP2, headTimeout time.Duration) *http2Listener {
	return &http2Listener{handover.NewListener(address), uploads, headTimeout}
}

// next is the TLSNextProto function of the server that accepts the connections.
func (l *http2Listener) next() map[string]func(*http.Server, *tls.Conn, http.Handler) {
	return map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) {
			state, limited := conn.ConnectionState(), conn.NetConn().(*limitedConn)
			l.serve(newFrameConn(conn, limited.batches), limited, &state)
		},
	}
}

// serve returns when the connection has ended: net/http closes it then. The state is nil without TLS.
func (l *http2Listener) serve(conn net.Conn, limited *limitedConn, state *tls.ConnectionState) {
	limited.inHead.Store(false) // counted by frames instead
	watched := l.uploads.Conn(conn, limited.tracked, l.headTimeout)
	handed := &http2Conn{Conn: watched, tracked: limited.tracked, state: state, done: make(chan struct{})}
	if !l.Pass(handed) {
		_ = watched.Close()
		return
	}
	<-handed.done
}

// followHTTP2 is the ConnState of the HTTP/2 server. A head is complete before there is a request, and the connection reports
// that itself.
func followHTTP2(conn net.Conn, state http.ConnState) {
	if handed, ok := conn.(*http2Conn); ok {
		handed.tracked.serving(state == http.StateActive)
	}
}

// http2Conn has no method ConnectionState: with one, net/http would not look for HTTP/2 on the connection.
type http2Conn struct {
	net.Conn

	tracked *trackedConn
	state   *tls.ConnectionState
	done    chan struct{}
	close   sync.Once
}

func (c *http2Conn) Close() error {
	defer c.close.Do(func() { close(c.done) })
	return c.Conn.Close()
}
