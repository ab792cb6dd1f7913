package proxy

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/immichaccess/immichaccess/internal/logging"
)

var errNoneHealthy = errors.New("no upstream is healthy")

// upstream is one Immich server.
type upstream struct {
	url   *url.URL
	conns *connPool // of forwarder
	down  atomic.Bool
}

// pool is the http.RoundTripper that chooses the upstream.
type pool struct {
	members   []*upstream
	transport http.RoundTripper
	logger    *slog.Logger
}

func newPool(addresses []string, transport http.RoundTripper, logger *slog.Logger) *pool {
	p := &pool{transport: transport, logger: logger}
	for _, address := range addresses {
		target, err := url.Parse(address)
		if err != nil {
			continue // config has checked them
		}
		p.members = append(p.members, &upstream{url: target})
	}
	return p
}

// RoundTrip sends a request of any kind.
func (p *pool) RoundTrip(r *http.Request) (response *http.Response, err error) {
	err = p.try(r, func(u *upstream) (err error) {
		response, err = roundTrip(p.transport, u.address(r)) //nolint:bodyclose // the caller closes it
		return err
	})
	return response, err
}

// try tries one upstream after another, as long as no upstream can have processed the request.
func (p *pool) try(r *http.Request, send func(*upstream) error) error {
	err := errNoneHealthy
	for _, u := range p.candidates(r) {
		err = send(u)
		if r.Context().Err() != nil || err != nil && !repeatable(r, err) {
			return err
		}
		if err == nil {
			p.mark(u, nil)
			return nil
		}
		if isDial(err) { // a closed connection may be due to the request
			p.mark(u, err)
		}
	}
	return err
}

func (u *upstream) address(r *http.Request) *http.Request {
	addressed := r.WithContext(r.Context())
	target := *r.URL
	target.Scheme, target.Host = u.url.Scheme, u.url.Host
	addressed.URL = &target
	if r.Body != nil {
		addressed.Body = &clientBody{ReadCloser: r.Body}
	}
	return addressed
}

// candidates returns the upstreams in an order that is always the same for a client, so that it stays with the first as long as
// that is healthy: a video session exists on one server only. A single upstream is tried whatever its health.
func (p *pool) candidates(r *http.Request) []*upstream {
	if len(p.members) == 1 {
		return p.members
	}
	client := r.Header.Get("X-Real-Ip")
	healthy := slices.DeleteFunc(slices.Clone(p.members), func(u *upstream) bool { return u.down.Load() })
	slices.SortFunc(healthy, func(a, b *upstream) int {
		return cmp.Compare(string(affinity(client, a)), string(affinity(client, b)))
	})
	return healthy
}

func affinity(client string, u *upstream) []byte {
	sum := sha256.Sum256([]byte(client + " " + u.url.Host))
	return sum[:]
}

// repeatable reports whether another upstream may be tried: when there was no connection, or when the request is safe and
// has no body. An upstream that times out may still be working on it.
func repeatable(r *http.Request, err error) bool {
	if isDial(err) {
		return true
	}
	if isTimeout(err) {
		return false
	}
	return (r.Body == nil || r.ContentLength == 0) && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func isDial(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return ok && dial.Op == "dial"
}

// mark records whether an upstream answers, and logs changes.
func (p *pool) mark(u *upstream, err error) {
	if down := err != nil; u.down.Swap(down) == down {
		return
	}
	if err != nil {
		p.logger.Warn("an upstream does not answer", "upstream", u.url.String(), "error", logging.Error(err))
		return
	}
	p.logger.Info("an upstream answers again", "upstream", u.url.String())
}

func (p *pool) health() map[string]bool {
	health := map[string]bool{}
	for _, u := range p.members {
		health[u.url.String()] = !u.down.Load()
	}
	return health
}

// clientError is an error of the client's connection during forwarding.
type clientError struct{ error }

func (e clientError) Unwrap() error { return e.error }

// clientBody is the body of one attempt to forward a request.
type clientBody struct {
	io.ReadCloser

	begun atomic.Bool
}

func (b *clientBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = clientError{err}
	}
	return n, err
}

// Close keeps a body that was not read open for the next attempt: the transport closes it even if it could not connect.
// ReverseProxy closes it in the end.
func (b *clientBody) Close() error {
	if !b.begun.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}
