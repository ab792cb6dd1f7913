package moving_test

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// The sides of a pair.
const (
	before = "before"
	now    = "now"
)

// idHeader tells the requests apart, which both proxies pass on: the side and the name.
const idHeader = "X-Test-Id"

// upstream is a fake Immich that records what arrives.
type upstream struct {
	address string
	immich  map[string]http.Handler // by side: each has the uploads of one proxy

	mu       sync.Mutex
	arrivals map[string]*arrival // by id; guarded by mu
}

// arrival is a request as it has reached the upstream.
type arrival struct {
	facts facts
	ended chan struct{} // closed when facts is complete
}

func (a *arrival) hasEnded() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{immich: map[string]http.Handler{before: fakeimmich.New(), now: fakeimmich.New()}, arrivals: map[string]*arrival{}}
	server := fakeimmich.New().HTTPServer()
	server.Handler = u
	u.address = strings.TrimPrefix(harness.Serve(t, server), "http://")
	return u
}

func (u *upstream) arrival(id string) *arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.arrivals[id]
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := u.record(r)
	defer close(a.ended)
	body := &recordedBody{ReadCloser: r.Body, sum: sha256.New()}
	r.Body = body
	defer func() { a.facts["upstream body"] = body.describe() }()
	u.answer(w, r)
	_, _ = io.Copy(io.Discard, body)
}

func (u *upstream) record(r *http.Request) *arrival {
	a := &arrival{facts: facts{"upstream": "reached"}, ended: make(chan struct{})}
	a.facts["upstream method"], a.facts["upstream path"], a.facts["upstream host"] = r.Method, r.RequestURI, r.Host
	a.facts["upstream length"] = fmt.Sprint(r.ContentLength)
	for name, values := range r.Header {
		if name != idHeader && name != "Content-Length" {
			a.facts["upstream header "+name] = strings.Join(values, " | ")
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arrivals[r.Header.Get(idHeader)] = a
	return a
}

func (u *upstream) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Powered-By", "Express")
	switch {
	case r.URL.Path == "/redirect":
		w.Header().Set("Location", "http://"+u.address+"/elsewhere")
		w.WriteHeader(http.StatusFound)
	case r.URL.Path == "/relative-redirect":
		w.Header().Set("Location", "elsewhere?a=b")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case r.URL.Path == "/failure":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"message":"Internal server error","statusCode":500}`)
	case r.URL.Path == "/streamed":
		w.Header().Set("Content-Type", "application/octet-stream")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(w, fakeimmich.Content(100_000))
	case r.URL.Path == "/closes":
		panic(http.ErrAbortHandler)
	case strings.HasPrefix(r.URL.Path, "/api/assets"), strings.HasPrefix(r.URL.Path, "/api/socket.io"):
		side, _, _ := strings.Cut(r.Header.Get(idHeader), ":")
		u.immich[side].ServeHTTP(w, r)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Etag", `W/"1"`)
		w.Header().Add("Set-Cookie", "immich_is_authenticated=true; Path=/; SameSite=Lax")
		w.Header().Add("Set-Cookie", "immich_auth_type=password; Path=/; HttpOnly")
		_, _ = io.WriteString(w, "Immich")
	}
}

// recordedBody notes how much of a body has arrived.
type recordedBody struct {
	io.ReadCloser

	sum  hash.Hash
	size int64
	err  error
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	_, _ = b.sum.Write(p[:n])
	b.size += int64(n)
	if err != nil {
		b.err = err
	}
	return n, err
}

func (b *recordedBody) describe() string {
	if b.err != io.EOF { //nolint:errorlint // errors.Is would also match a body that is cut short
		return "cut short"
	}
	return fmt.Sprintf("%d bytes, %x", b.size, b.sum.Sum(nil)[:4])
}

// serveAuth runs a service for Traefik's forwardAuth, and returns its URL.
func serveAuth(t *testing.T) string {
	return harness.Serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Access-Key") != key {
			http.Error(w, "Forbidden", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Auth-User", "phone")
		w.WriteHeader(http.StatusNoContent)
	})})
}
