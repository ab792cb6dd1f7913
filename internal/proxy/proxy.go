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
	dialTimeout  = 5 * time.Second
	// continueTimeout is how long an Expect: 100-continue waits for Immich's word, which comes at once or not at all.
	continueTimeout = 5 * time.Second
	// bufferSize is that of four TLS records, less the headers of the HTTP/2 frames in them.
	bufferSize = 4 * (16<<10 - 9)
)

// Proxy is the handler that leads to Immich.
type Proxy struct {
	http.Handler

	pool *pool
}

// New returns a Proxy that looks after the health of the upstreams until the context ends. Requests come to it from
// immichaccess.New.
func New(ctx context.Context, settings *config.Settings, logger *slog.Logger) *Proxy {
	transport := newTransport(&settings.Timeouts)
	pool := newPool(settings.Upstreams, transport, logger)
	if len(settings.Upstreams) > 1 || settings.Admin.Address != "" { // else nobody wants to know
		pool.watch(ctx)
	}
	context.AfterFunc(ctx, transport.CloseIdleConnections)
	for _, u := range pool.members {
		u.conns = newConnPool(u.url, transport.DialContext)
		context.AfterFunc(ctx, u.conns.close)
	}
	idle := time.Duration(settings.Timeouts.Idle)
	reverse := &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      pool,
		ModifyResponse: func(r *http.Response) error { return receive(r, idle) },
		FlushInterval:  -1, // streams are for those who wait at their end
		BufferPool:     newBuffers(),
		ErrorHandler:   failures{logger}.answer,
		ErrorLog:       logging.Debug(logger),
	}
	if pool.hasTLS() {
		return &Proxy{reverse, pool}
	}
	return &Proxy{&forwarder{
		pool:     pool,
		general:  reverse,
		failures: failures{logger},
		buffers:  newBuffers(),
		upstream: time.Duration(settings.Timeouts.Upstream),
		idle:     idle,
	}, pool}
}

// Health tells of each upstream whether it answers.
func (p *Proxy) Health() map[string]bool {
	return p.pool.health()
}

func newTransport(timeouts *config.Timeouts) *http.Transport {
	return &http.Transport{
		DialContext:           dial(time.Duration(timeouts.Idle)),
		TLSHandshakeTimeout:   dialTimeout,
		IdleConnTimeout:       upstreamIdle,
		MaxIdleConnsPerHost:   256,
		ResponseHeaderTimeout: time.Duration(timeouts.Upstream),
		ExpectContinueTimeout: continueTimeout,
		DisableCompression:    true, // answers go through as they are
	}
}

// rewrite undoes what ReverseProxy does to headers and query: who the client is was decided before, and Immich gets the
// query as it was sent.
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

// errNotHTTP is about a response that can't be passed on.
var errNotHTTP = errors.New("not a valid HTTP response")

// receive looks at a response before it is passed on. WebSockets are left alone: there, either side's words keep both alive.
func receive(r *http.Response, idle time.Duration) error {
	switch {
	case r.StatusCode < http.StatusContinue: // net/http reads it, but panics when it is to write it
		return fmt.Errorf("%w: its status is %03d", errNotHTTP, r.StatusCode)
	case r.StatusCode != http.StatusSwitchingProtocols:
		transfer.WatchResponse(r, idle)
	case r.Request.Header.Get("Upgrade") == "": // ReverseProxy would answer, but leave the connection open
		return fmt.Errorf("%w: it switches protocols without being asked", errNotHTTP)
	}
	return nil
}

// buffers keeps memory level when many transfers come and go.
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
