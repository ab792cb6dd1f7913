package conformance

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// RunHandler runs all tests with a handler, over HTTP and HTTPS, in front of a reverse proxy and a fake Immich.
func RunHandler(t *testing.T, wrap func(t *testing.T, options Options, next http.Handler) http.Handler) {
	t.Run("http", func(t *testing.T) {
		Run(t, Proxy{Open: func(t *testing.T, options Options) Gateway {
			immich, next := behind(t)
			server := httptest.NewServer(wrap(t, options, next))
			t.Cleanup(server.Close)
			return Gateway{Addr: server.Listener.Addr().String(), Host: "photos.example.com", Immich: immich}
		}})
	})
	t.Run("https", func(t *testing.T) {
		Run(t, Proxy{Open: func(t *testing.T, options Options) Gateway {
			immich, next := behind(t)
			server := httptest.NewUnstartedServer(wrap(t, options, next))
			server.EnableHTTP2 = true
			server.StartTLS()
			t.Cleanup(server.Close)
			return Gateway{Addr: server.Listener.Addr().String(), Host: "example.com", TLS: trusting(server), Immich: immich}
		}})
	})
	t.Run("client certificates", func(t *testing.T) { runCertificates(t, wrap) })
}

// runCertificates runs the tests of client certificates with a handler. Its TLS accepts expired certificates, as on a
// connection that outlives its certificate.
func runCertificates(t *testing.T, wrap func(t *testing.T, options Options, next http.Handler) http.Handler) {
	clients := NewClients(t)
	pool := x509.NewCertPool()
	text, err := os.ReadFile(clients.CAFile)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	immich, next := behind(t)
	server := httptest.NewUnstartedServer(wrap(t, clients.Options, next))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, Time: func() time.Time { return time.Now().Add(-30 * time.Minute) }}
	server.StartTLS()
	t.Cleanup(server.Close)
	clients.Run(t, CertificateProxy{
		Gateway: Gateway{Addr: server.Listener.Addr().String(), Host: "example.com", TLS: trusting(server), Immich: immich},
		Refused: []string{"foreign"},
	})
}

func trusting(server *httptest.Server) *tls.Config {
	return &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
}

// behind returns a fake Immich and a reverse proxy to it that, like Traefik's, answers a failed body with 500.
func behind(t *testing.T) (*fakeimmich.Server, http.Handler) {
	immich := fakeimmich.New()
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
