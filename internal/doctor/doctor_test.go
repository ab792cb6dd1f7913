package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const testKey = "correct-horse-battery-staple"

// gate is a proxy that asks for the key, in front of a fake Immich, and remembers what it got.
type gate struct {
	url, plainURL string
	roots         *x509.CertPool

	mu   sync.Mutex
	keys map[string]bool // that were sent in the header
	rest []string        // all else of all requests
}

func (g *gate) record(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range r.Header["X-Access-Key"] {
		g.keys[key] = true
	}
	other := maps.Clone(r.Header)
	delete(other, "X-Access-Key")
	text, _ := json.Marshal([]any{r.Method, r.Host, r.RequestURI, other})
	g.rest = append(g.rest, string(text))
}

func startGate(t *testing.T, change func(*httptest.Server)) *gate {
	t.Helper()
	g := &gate{keys: map[string]bool{}, roots: x509.NewCertPool()}
	immich := httptest.NewServer(fakeimmich.NewWithLogin(io.Discard))
	t.Cleanup(immich.Close)
	target, err := url.Parse(immich.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target) // Immich itself has no HTTP/2
	forward.ErrorLog = log.New(io.Discard, "", 0)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.record(r)
		if r.Header.Get("X-Access-Key") != testKey {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are cut short are part of the test
	if change != nil {
		change(server)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	g.roots.AddCert(server.Certificate())
	g.url = server.URL

	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.record(r)
		http.Redirect(w, r, g.url+r.RequestURI, http.StatusPermanentRedirect)
	}))
	t.Cleanup(plain.Close)
	g.plainURL = plain.URL
	return g
}

func (g *gate) examine(t *testing.T, change func(*Options)) *Report {
	t.Helper()
	options := Options{URL: g.url, Key: testKey, HTTPURL: g.plainURL, Roots: g.roots}
	if change != nil {
		change(&options)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	report, err := Run(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func (r *Report) has(id string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == id && f.Title != "" })
}

func TestKeyIsSentInItsHeaderOnly(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	report := g.examine(t, nil)
	if report.Broken() {
		t.Errorf("%+v", report.Findings)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.keys[testKey] || len(g.keys) != 2 {
		t.Errorf("sent %d keys, want the right one and one wrong one", len(g.keys))
	}
	if all := strings.Join(g.rest, "\n"); strings.Contains(all, testKey) {
		t.Errorf("the key is elsewhere:\n%s", all)
	}
}

func TestKeyIsNotSentOverPlainHTTP(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 100)
	immich := fakeimmich.NewWithLogin(io.Discard)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("X-Access-Key"); key != "" {
			select {
			case seen <- key:
			default:
			}
		}
		immich.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	for _, insecure := range []bool{false, true} {
		if _, err := Run(t.Context(), Options{URL: server.URL, Key: testKey, Insecure: insecure}); err != nil {
			t.Fatal(err)
		}
		// There, no key is asked for, so that even with the option it is of no use.
		if len(seen) > 0 && !insecure {
			t.Error("the key was sent")
		}
	}
}

func TestKeyIsNotSentToAnotherServer(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	report := g.examine(t, func(o *Options) { o.Roots = x509.NewCertPool() })
	if !report.has("certificate-self-signed") && !report.has("certificate-untrusted") || !report.has("key-needed") {
		t.Errorf("%+v", report.Findings)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.keys) != 0 {
		t.Error("a key was sent")
	}
}

func TestWrongKeyIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	report := g.examine(t, func(o *Options) { o.Key = "mistyped-horse-battery" })
	if !report.has("key-refused") {
		t.Errorf("%+v", report.Findings)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.keys) != 1 {
		t.Errorf("%d wrong keys were sent, want 1", len(g.keys))
	}
}

// A server may answer an upload before it has the body, and then end the stream with an error, or not at all.
func TestEarlyAnswerNeedsNoEndOfItsStream(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*http.Request){
		"reset": func(*http.Request) { panic(http.ErrAbortHandler) },
		"open":  func(r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answered := make(chan bool, 1)
			g := startGate(t, func(server *httptest.Server) {
				next := server.Config.Handler
				server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r)
					if r.ProtoMajor == 2 && r.Method == http.MethodPost && r.URL.Path == "/api/assets" && r.Header.Get("X-Access-Key") == testKey {
						_ = http.NewResponseController(w).Flush()
						answered <- true
						end(r)
					}
				})
			})
			if report := g.examine(t, nil); report.Broken() {
				t.Errorf("%+v", report.Findings)
			}
			if len(answered) != 1 {
				t.Error("no upload came by HTTP/2")
			}
		})
	}
}

func TestHTTP1Missing(t *testing.T) {
	t.Parallel()
	g := startGate(t, func(server *httptest.Server) {
		server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if !slices.Contains(hello.SupportedProtos, "h2") {
				return nil, errors.New("HTTP/2 is all there is")
			}
			return nil, nil //nolint:nilnil // means no other configuration
		}}
	})
	if report := g.examine(t, nil); !report.has("http1-missing") {
		t.Errorf("%+v", report.Findings)
	}
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	for id, url := range map[string]string{
		"address-unreachable": "https://127.0.0.1:1",
		"name-unknown":        "https://photos.invalid",
	} {
		report, err := Run(t.Context(), Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if !report.has(id) || !report.Broken() {
			t.Errorf("%s: %+v", url, report.Findings)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	g := startGate(t, nil)
	report, err := Run(ctx, Options{URL: g.url, Roots: g.roots, Progress: func(string) { cancel() }})
	if err != nil || !report.Broken() || !report.has("interrupted") {
		t.Errorf("%v: %+v", err, report)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for want, options := range map[string]Options{
		"https://photos.example.com":      {URL: ""},
		"give the address of your Immich": {URL: "ftp://photos.example.com"},
		"user name or password":           {URL: "https://x:" + testKey + "@photos.example.com"},
		"query":                           {URL: "https://photos.example.com/?key=" + testKey},
		"--keyHeader":                     {URL: "photos.example.com", KeyHeader: "X Key"},
		"printable":                       {URL: "photos.example.com", Key: testKey + "\n"},
		"--link":                          {URL: "photos.example.com", Link: "https://other.example.com/share/x"},
		"--httpURL":                       {URL: "photos.example.com", HTTPURL: "https://photos.example.com"},
	} {
		_, err := Run(t.Context(), options)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), testKey) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"photos.example.com":                 "https://photos.example.com",
		"https://photos.example.com/":        "https://photos.example.com",
		"https://photos.example.com/api":     "https://photos.example.com",
		"https://photos.example.com/api/":    "https://photos.example.com",
		"https://photos.example.com:443":     "https://photos.example.com",
		"https://photos.example.com:4000":    "https://photos.example.com:4000",
		"https://example.com/immich/api":     "https://example.com/immich",
		"http://192.168.1.2:2283":            "http://192.168.1.2:2283",
		"https://[2001:db8::1]":              "https://[2001:db8::1]",
		"https://[2001:db8::1]:4000/photos/": "https://[2001:db8::1]:4000/photos",
	} {
		if got, err := parseTarget(text); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}
