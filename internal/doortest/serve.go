package doortest

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/immichaccess/immichaccess/internal/standin"
)

// RunHandler holds a bare handler to every promise, over HTTP and HTTPS, in front of a reverse proxy and a stand-in Immich.
func RunHandler(t *testing.T, wrap func(t *testing.T, options Options, next http.Handler) http.Handler) {
	t.Run("http", func(t *testing.T) {
		Run(t, Proxy{Open: func(t *testing.T, options Options) Door {
			immich, next := behind(t)
			server := httptest.NewServer(wrap(t, options, next))
			t.Cleanup(server.Close)
			return Door{Addr: server.Listener.Addr().String(), Host: "photos.example.com", Immich: immich}
		}})
	})
	t.Run("https", func(t *testing.T) {
		Run(t, Proxy{Open: func(t *testing.T, options Options) Door {
			immich, next := behind(t)
			server := httptest.NewUnstartedServer(wrap(t, options, next))
			server.EnableHTTP2 = true
			server.StartTLS()
			t.Cleanup(server.Close)
			config := &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
			return Door{Addr: server.Listener.Addr().String(), Host: "example.com", TLS: config, Immich: immich}
		}})
	})
}

// behind returns a stand-in Immich and a reverse proxy to it that, like Traefik's, answers a failed body with 500.
func behind(t *testing.T) (*standin.Server, http.Handler) {
	immich := standin.New()
	upstream := httptest.NewServer(immich)
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	return immich, &httputil.ReverseProxy{
		Director:     func(r *http.Request) { r.URL.Scheme, r.URL.Host = target.Scheme, target.Host },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusInternalServerError) },
	}
}
