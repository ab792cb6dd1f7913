package yaegi

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"github.com/traefik/traefik/v3/pkg/plugins"
)

// Speed is measured in ratios within one run, since machines differ and their speed changes.

// BenchmarkYaegi measures what an accepted request costs, in multiples of a plugin that only calls the next handler.
func BenchmarkYaegi(b *testing.B) {
	builder := newBuilder(b)
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	empty := emptyPlugin(b, next)
	for _, c := range []struct {
		name    string
		options conformance.Options
	}{
		{"two keys", conformance.Options{"keys": twoKeys}},
		{"10000 keys, 50 networks", conformance.Options{"keys": manyKeys(), "trustedProxies": manyNetworks()}},
		{"keys in a file", conformance.Options{"keysFile": keysFile(b)}},
		{"no key", conformance.Options{"requireKey": false}},
		{"a key that expires", conformance.Options{"keys": expiringKey}},
		{"a key for some methods", conformance.Options{"keys": conformance.Key + " methods=GET+HEAD"}},
		{"a key with its name", conformance.Options{"keys": twoKeys, "keyNameHeader": "X-Key-Name"}},
		{"a key beside keyless networks", conformance.Options{"keys": twoKeys, "keylessNetworks": "192.168.0.0/16"}},
		{"a key beside public routes", conformance.Options{"keys": twoKeys, "publicRoutes": "shared-links"}},
		{"a key beside browser login", conformance.Options{"keys": twoKeys, "browserLogin": true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			compare(b, interpreted(b, builder, c.options, next), empty, 0)
		})
	}
	b.Run("a browser's cookie", func(b *testing.B) {
		handler := interpreted(b, builder, conformance.Options{"keys": twoKeys, "browserLogin": true}, next)
		compare(b, withCookie(b, handler), empty, 0)
	})
	b.Run("a browser's cookie, of a key that expires", func(b *testing.B) {
		handler := interpreted(b, builder, conformance.Options{"keys": expiringKey, "browserLogin": true}, next)
		compare(b, withCookie(b, handler), empty, 0)
	})
	b.Run("HTTP Basic", func(b *testing.B) {
		handler := interpreted(b, builder, conformance.Options{"keys": twoKeys, "basicAuth": true}, next)
		compare(b, withBasic(handler), empty, 0)
	})
	b.Run("a keyless network", func(b *testing.B) {
		handler := interpreted(b, builder, conformance.Options{"keys": twoKeys, "keylessNetworks": "203.0.113.0/24"}, next)
		compare(b, withoutKey(handler), empty, 0)
	})
	b.Run("a public route", func(b *testing.B) {
		handler := interpreted(b, builder, conformance.Options{"keys": twoKeys, "publicRoutes": "shared-links"}, next)
		compare(b, withoutKey(handler), empty, 0)
	})
	b.Run("through a trusted proxy", func(b *testing.B) {
		handler := interpreted(b, builder, conformance.Options{"keys": twoKeys, "trustedProxies": "203.0.113.0/24"}, next)
		compare(b, fromProxy(handler), empty, 0)
	})
	b.Run("during a lockout", func(b *testing.B) {
		handler := interpreted(b, builder, conformance.Options{"keys": twoKeys, "maxWrongKeys": "1", "logDenied": false}, next)
		lockOut(handler)
		compare(b, handler, empty, 0)
	})
	b.Run("HTTP/3", func(b *testing.B) { // where the length is unknown even without a body
		compare(b, interpreted(b, builder, conformance.Options{"keys": twoKeys}, next), empty, -1)
	})
}

// lockOut tries a wrong key, from an address that is not serve's.
func lockOut(handler http.Handler) {
	request := httptest.NewRequest(http.MethodGet, "https://photos.example.com/", nil)
	request.Header.Set("X-Access-Key", "wrong")
	handler.ServeHTTP(httptest.NewRecorder(), request)
}

// withCookie adds the session of a browser that has logged in to Immich's cookies.
func withCookie(b *testing.B, handler http.Handler) http.Handler {
	b.Helper()
	form := httptest.NewRequest(http.MethodPost, "https://photos.example.com/.immichaccess", strings.NewReader("key="+conformance.Key))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header.Set("Sec-Fetch-Site", "same-origin")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, form)
	if answer.Code != http.StatusSeeOther {
		b.Fatalf("logging in: status %d", answer.Code)
	}
	session := answer.Result().Cookies()[0]
	cookies := []string{browserHeaders.Get("Cookie") + "; " + session.Name + "=" + session.Value}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		delete(r.Header, "X-Access-Key")
		r.Header["Cookie"] = cookies
		handler.ServeHTTP(w, r)
	})
}

// withoutKey requests a picture of a shared link.
func withoutKey(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		delete(r.Header, "X-Access-Key")
		r.URL.Path, r.URL.RawQuery = "/api/assets/9f2d8d4e-7f3b-4c52-8d0e-0d5c3b1f6a01/thumbnail", "size=preview&key=x"
		handler.ServeHTTP(w, r)
	})
}

// withBasic sends the key as the password.
func withBasic(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		delete(r.Header, "X-Access-Key")
		r.SetBasicAuth("x", conformance.Key)
		handler.ServeHTTP(w, r)
	})
}

// fromProxy names the client, as a proxy does.
func fromProxy(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header["X-Forwarded-For"] = []string{"198.51.100.9"}
		handler.ServeHTTP(w, r)
	})
}

var twoKeys = []string{"phone:" + conformance.Key, "tablet:correct-horse-battery-stable"}

var expiringKey = []string{"phone:" + conformance.Key + " expires=2999-12-31"}

func manyKeys() []string {
	keys := []string{"phone:" + conformance.Key}
	for i := 1; i < 10_000; i++ {
		keys = append(keys, fmt.Sprintf("key%d:a-secret-of-some-length-%d", i, i))
	}
	return keys
}

func manyNetworks() []string {
	var networks []string
	for i := range 50 {
		networks = append(networks, fmt.Sprintf("10.%d.0.0/16", i))
	}
	return networks
}

func keysFile(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "keys.txt")
	if err := os.WriteFile(path, []byte(strings.Join(manyKeys(), "\n")), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

func emptyPlugin(b *testing.B, next http.Handler) http.Handler {
	b.Helper()
	builder, err := plugins.NewBuilder(nil, nil, map[string]plugins.LocalDescriptor{"empty": {ModuleName: "example.com/empty"}})
	if err != nil {
		b.Fatal(err)
	}
	construct, err := builder.Build("empty", nil, "empty")
	if err != nil {
		b.Fatal(err)
	}
	handler, err := construct(b.Context(), next)
	if err != nil {
		b.Fatal(err)
	}
	return handler
}

// browserHeaders are those of a request for a thumbnail.
var browserHeaders = harness.BrowserHeaders(conformance.Key)

// compare runs the handler and the empty plugin in turns, so that both have the same conditions. The median of the turns leaves
// out those in which something else ran on the machine.
func compare(b *testing.B, handler, empty http.Handler, length int64) {
	const turn = 1000
	var ratios []float64
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += turn {
		n := min(turn, b.N-done)
		b.StopTimer()
		base := serve(empty, n, length)
		b.StartTimer()
		ratios = append(ratios, float64(serve(handler, n, length))/float64(base))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-empty")
}

// fromTraefik are the headers that Traefik's entry point has set when a plugin gets the request.
var fromTraefik = http.Header{
	"X-Access-Key":       browserHeaders["X-Access-Key"],
	"X-Real-Ip":          {"203.0.113.7"},
	"X-Forwarded-Proto":  {"https"},
	"X-Forwarded-Host":   {"photos.example.com"},
	"X-Forwarded-Port":   {"443"},
	"X-Forwarded-Server": {"traefik"},
}

// serve restores the headers that the handler removes or replaces before each request, which costs less than a server does.
func serve(handler http.Handler, n int, length int64) time.Duration {
	request := httptest.NewRequest(http.MethodGet, "https://photos.example.com/api/assets/1/thumbnail?size=preview", nil)
	request.RemoteAddr = "203.0.113.7:51234"
	request.Header = browserHeaders.Clone()
	request.ContentLength = length
	writer := httptest.NewRecorder()
	began := time.Now()
	for range n {
		maps.Copy(request.Header, fromTraefik)
		handler.ServeHTTP(writer, request)
	}
	return time.Since(began)
}
