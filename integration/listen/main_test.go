// Package listen_test runs the standalone proxy behind real proxies and relays, set up as the documentation says, and under systemd's
// sockets.
package listen_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	host   = "photos.example.com"
	key    = "example-phone-key-change-me" // the one in the examples
	client = "127.0.0.77"                  // where clients connect from
)

// site is a proxy of ours with a fake Immich behind it and, once it is started, another proxy in front.
type site struct {
	dir      string
	front    string // where clients connect to
	immich   *fakeimmich.Server
	upstream string // its address
	proxy    *harness.Process
	roots    *x509.CertPool
}

// newSite starts a fake Immich and makes certificates, but starts no proxy yet.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), immich: fakeimmich.New()}
	upstream := httptest.NewUnstartedServer(s.immich)
	upstream.Config = s.immich.HTTPServer()
	upstream.Start()
	t.Cleanup(upstream.Close)
	s.upstream = upstream.URL
	s.makeCertificate(t)
	return s
}

// run starts our proxy with an example's configuration, and with options in place of what a test can't have. It returns when
// the proxy listens on the address.
func (s *site) run(t *testing.T, config, ready string, options ...string) {
	t.Helper()
	options = append([]string{"--configFile=" + config, "--upstreams=" + s.upstream, "--acme.storage=" + s.dir}, options...)
	s.proxy = harness.Start(t, harness.Binary(t), options...)
	s.awaitListening(t, s.proxy, ready)
}

const plainExample = "../../examples/behind-a-proxy/immichaccess.yml"

func (s *site) awaitListening(t *testing.T, process *harness.Process, address string) {
	t.Helper()
	harness.Await(t, "a listener on "+address, func() bool {
		if process.Ended() {
			t.Fatalf("it has ended:\n%s", process.Log)
		}
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	})
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.file(name)
}

// makeCertificate writes cert.pem, key.pem and both.pem.
func (s *site) makeCertificate(t *testing.T) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	privateText := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}))
	s.write(t, "cert.pem", certificate)
	s.write(t, "key.pem", privateText)
	s.write(t, "both.pem", certificate+privateText)
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM([]byte(certificate))
}

// client uses one version of HTTP with the proxy in front, without looking up its address.
func (s *site) client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", s.front)
		},
		TLSClientConfig:   &tls.Config{RootCAs: s.roots},
		ForceAttemptHTTP2: http2,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: harness.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newRequest(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://"+host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Access-Key", key)
	return request
}

// send returns the response, with its body read.
func send(t *testing.T, c *http.Client, request *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// arrival is what reaches Immich of a request.
func arrival(t *testing.T, c *http.Client, request *http.Request) fakeimmich.Arrival {
	t.Helper()
	response, body := send(t, c, request)
	var seen fakeimmich.Arrival
	if err := json.Unmarshal([]byte(body), &seen); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v\n%s", response.Status, err, body)
	}
	return seen
}
