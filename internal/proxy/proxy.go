// Package proxy forwards requests to Immich, to one server or to several.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

const (
	// upstreamIdle is less than the 5 s after which Immich may close an idle connection: an upload that was sent into a
	// closing one could not be repeated.
	upstreamIdle = 4 * time.Second
	dialTimeout  = 5 * time.Second // to connect, and then for a TLS handshake
	// continueTimeout is how long a request with Expect: 100-continue waits for Immich, which responds immediately or not at all.
	continueTimeout = 5 * time.Second
	// bufferSize is that of four TLS records, or HTTP/2 frames.
	bufferSize = 64 << 10
)

// Proxy is the handler that leads to Immich.
type Proxy struct {
	http.Handler

	pool *pool
}

// New returns a Proxy that checks the health of the upstreams until the context ends. It is the next handler of
// immichaccess.New.
func New(ctx context.Context, settings *config.Settings, logger *slog.Logger) *Proxy {
	transport := newTransport(&settings.Timeouts)
	pool := newPool(settings.Upstreams, transport, logger)
	if len(settings.Upstreams) > 1 || settings.Admin.Address != "" { // otherwise, nothing uses the result
		pool.checkHealth(ctx)
	}
	context.AfterFunc(ctx, transport.CloseIdleConnections)
	for _, u := range pool.members {
		u.conns = newConnPool(u.url, transport.DialContext)
		context.AfterFunc(ctx, u.conns.close)
	}
	idle := time.Duration(settings.Timeouts.Idle)
	buffers := newBuffers()
	quicBuffers := newQUICBuffers(buffers)
	reverse := &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      pool,
		ModifyResponse: func(r *http.Response) error { return receive(r, idle) },
		FlushInterval:  -1, // clients wait for each part of a stream
		BufferPool:     buffers,
		ErrorHandler:   failures{logger}.answer,
		ErrorLog:       logging.Debug(logger),
	}
	general := withQUICBuffers(reverse, quicBuffers)
	if pool.hasTLS() {
		return &Proxy{general, pool}
	}
	return &Proxy{&forwarder{
		pool:        pool,
		general:     general,
		failures:    failures{logger},
		buffers:     buffers,
		quicBuffers: quicBuffers,
		upstream:    time.Duration(settings.Timeouts.Upstream),
		idle:        idle,
	}, pool}
}

// Health reports whether each upstream answers.
func (p *Proxy) Health() map[string]bool {
	return p.pool.health()
}

func newTransport(timeouts *config.Timeouts) *http.Transport {
	connect := dial(time.Duration(timeouts.Idle))
	return &http.Transport{
		DialContext:           connect,
		DialTLSContext:        connect.withTLS,
		IdleConnTimeout:       upstreamIdle,
		MaxIdleConnsPerHost:   256,
		ResponseHeaderTimeout: time.Duration(timeouts.Upstream),
		ExpectContinueTimeout: continueTimeout,
		DisableCompression:    true, // responses are passed on as they are
	}
}

// rewrite undoes what ReverseProxy does to headers and query: immichaccess.New has set the forwarding headers, and Immich gets
// the query as it was sent.
func rewrite(r *httputil.ProxyRequest) {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, given := r.In.Header[name]; given {
			r.Out.Header[name] = values
		}
	}
	appendPeer(r)
	r.Out.URL.RawQuery = r.In.URL.RawQuery
}

func appendPeer(r *httputil.ProxyRequest) {
	peer, _, err := net.SplitHostPort(r.In.RemoteAddr)
	if err != nil {
		return
	}
	chain := slices.Concat(r.In.Header["X-Forwarded-For"], []string{peer})
	r.Out.Header.Set("X-Forwarded-For", strings.Join(chain, ", "))
}

// errNotHTTP is for a response that can't be passed on.
var errNotHTTP = errors.New("not a valid HTTP response")

// receive checks a response before it is passed on, and has its body watched. WebSockets have no idle timeout here: either direction
// keeps both alive.
func receive(r *http.Response, idle time.Duration) error {
	if err := check(r); err != nil {
		return err
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		transfer.WatchResponse(r, idle)
	}
	return nil
}

func check(r *http.Response) error {
	switch {
	case r.StatusCode < http.StatusContinue: // net/http reads such a status, but panics when it writes one
		return fmt.Errorf("%w: its status is %03d", errNotHTTP, r.StatusCode)
	case r.StatusCode == http.StatusSwitchingProtocols:
		return checkSwitch(r)
	}
	return nil
}

// buffers are reused, so that many transfers need little memory.
type buffers struct {
	pool sync.Pool
}

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

func (b *buffers) Get() []byte {
	return b.pool.Get().(*[bufferSize]byte)[:]
}

func (b *buffers) Put(buffer []byte) {
	b.pool.Put((*[bufferSize]byte)(buffer))
}
