package immichaccess_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/doortest"
	"github.com/immichaccess/immichaccess/internal/standin"
)

// The same table runs in Yaegi and in Traefik, see integration/.
func TestPromises(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		doortest.Run(t, doortest.Proxy{Open: func(t *testing.T, options doortest.Options) doortest.Door {
			immich, handler := newDoor(t, options)
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			return doortest.Door{Addr: server.Listener.Addr().String(), Host: "photos.example.com", Immich: immich}
		}})
	})
	t.Run("https", func(t *testing.T) {
		doortest.Run(t, doortest.Proxy{Open: func(t *testing.T, options doortest.Options) doortest.Door {
			immich, handler := newDoor(t, options)
			server := httptest.NewUnstartedServer(handler)
			server.EnableHTTP2 = true
			server.StartTLS()
			t.Cleanup(server.Close)
			config := &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
			return doortest.Door{Addr: server.Listener.Addr().String(), Host: "example.com", TLS: config, Immich: immich}
		}})
	})
}

// newDoor returns the handler in front of a plain reverse proxy and a stand-in Immich.
func newDoor(t *testing.T, options doortest.Options) (*standin.Server, http.Handler) {
	t.Helper()
	immich := standin.New()
	upstream := httptest.NewServer(immich)
	t.Cleanup(upstream.Close)
	return immich, newHandler(t, options, toImmich(t, upstream.URL))
}

func newHandler(t *testing.T, options doortest.Options, next http.Handler) http.Handler {
	t.Helper()
	config := immichaccess.CreateConfig()
	options.Apply(t, reflect.ValueOf(config).Elem())
	handler, err := immichaccess.New(t.Context(), next, config, "test")
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// toImmich is a reverse proxy that, like Traefik's, answers a failed body with 500.
func toImmich(t *testing.T, address string) http.Handler {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Director:     func(r *http.Request) { r.URL.Scheme, r.URL.Host = target.Scheme, target.Host },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusInternalServerError) },
	}
}

// httputil.ReverseProxy drops the trailers of requests, so here is none between.
func TestRequestTrailers(t *testing.T) {
	server := httptest.NewServer(newHandler(t, doortest.Options{"requireKey": false}, standin.New()))
	t.Cleanup(server.Close)
	body := struct{ io.Reader }{strings.NewReader("a body of unknown length")}
	request, err := http.NewRequest(http.MethodPost, server.URL+"/api/server/trailers", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{"X-Checksum": {"abc"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(got), `"abc"`) {
		t.Errorf("%s, %v", got, err)
	}
}
