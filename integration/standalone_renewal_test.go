package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/quic-go/quic-go/http3"
)

// Certificates in the course of time. Nobody can wait for the 10 minutes after which certmagic looks again whether one is
// due, so the proxy is built with some of certmagic's numbers changed: nothing in the program is there for the tests alone.

const certmagicFolder = "../vendor/github.com/caddyserver/certmagic"

// hurry is what to replace, by file.
var hurry = map[string][2]string{
	"maintain.go": {"DefaultRenewCheckInterval = 10 * time.Minute", "DefaultRenewCheckInterval = time.Second"},
	"ocsp.go":     {"Timeout: 30 * time.Second", "Timeout: time.Second"},
}

var buildHurried = sync.OnceValue(func() error {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	replace := map[string]string{}
	for name, change := range hurry {
		source, err := filepath.Abs(filepath.Join(certmagicFolder, name))
		if err != nil {
			return err
		}
		replace[source] = filepath.Join(folder, name)
		if err := rewrite(source, replace[source], change[0], change[1]); err != nil {
			return err
		}
	}
	overlay := filepath.Join(folder, "overlay.json")
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		return err
	}
	build := exec.CommandContext(context.Background(), "go", "build", "-C", "..", "-overlay", overlay, "-o", "integration/build/hurried", "./cmd/standalone")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, output)
	}
	return nil
})

// rewrite copies a file with one text replaced.
func rewrite(source, target, old, changed string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if strings.Count(string(content), old) != 1 {
		return fmt.Errorf("%s has changed: %q is not in it once", source, old)
	}
	return os.WriteFile(target, []byte(strings.Replace(string(content), old, changed, 1)), 0o600)
}

// startHurried runs the proxy that is in a hurry.
func startHurried(t *testing.T, a *authority) (*fakeimmich.Server, *logBuffer) {
	t.Helper()
	if err := buildHurried(); err != nil {
		t.Fatal(err)
	}
	immich, upstream := serveImmich(t)
	log, _ := launch(t, nil, "hurried", a.arguments(upstream, t.TempDir())...)
	return immich, log
}

// client is for Pebble itself, and for what stands before it.
func (a *authority) client(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: readPool(t, a.roots)}}}
}

func readPool(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return newPool(t, content)
}

func newPool(t *testing.T, content []byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		t.Fatalf("no certificate: %s", content)
	}
	return pool
}

// ask returns what Pebble's management answers.
func (a *authority) ask(t *testing.T, path string) []byte {
	t.Helper()
	response, err := a.client(t).Get(a.management + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, response.Status, err)
	}
	return body
}

// TestRenewalUnderLoad has certificates that live for seconds. Clients check them, as real ones do.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	a := startAuthority(t, map[string]any{"profiles": validFor(24 * time.Second)})
	immich, _ := startHurried(t, a)
	before := awaitCertificate(t, a.https)
	roots := newPool(t, a.ask(t, "/roots/0"))

	var all sync.WaitGroup
	sizes := make(chan int64, 3)
	loaded, renewed := context.WithCancel(t.Context())
	t.Cleanup(all.Wait)
	uploaders, askers := speakers(t), speakers(t)
	for protocol := range uploaders {
		uploader, asker := checking(uploaders[protocol], roots), checking(askers[protocol], roots)
		all.Go(func() { sizes <- uploadUntil(loaded, t, uploader, "https://"+a.https+"/api/assets") })
		all.Go(func() {
			after := askUntil(loaded, t, asker, "https://"+a.https+"/api/server/ping")
			if after == nil || after.Equal(before) {
				t.Errorf("%s: a new connection does not show the new certificate", protocol)
			}
		})
	}
	await(t, "all uploads to be under way", func() bool { return len(immich.Uploads()) == len(uploaders) })
	await(t, "another certificate", func() bool { now := certificate(a.https, domain); return now != nil && !now.Equal(before) })
	renewed()
	all.Wait()
	close(sizes)
	wantUploads(t, immich, sizes)
}

// checking lets a client check certificates for the domain.
func checking(client *http.Client, roots *x509.CertPool) *http.Client {
	checked := &tls.Config{RootCAs: roots, ServerName: domain}
	switch transport := client.Transport.(type) {
	case *http.Transport:
		checked.NextProtos = transport.TLSClientConfig.NextProtos
		transport.TLSClientConfig = checked
	case *http3.Transport:
		transport.TLSClientConfig = checked
	}
	client.Transport = namedHost{client.Transport}
	return client
}

// namedHost asks for the domain, whatever the address.
type namedHost struct{ http.RoundTripper }

func (n namedHost) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = domain
	return n.RoundTripper.RoundTrip(r)
}

func (n namedHost) CloseIdleConnections() {
	if closer, ok := n.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// uploadUntil sends a file in small pieces until the end of the context, and returns its size.
func uploadUntil(ctx context.Context, t *testing.T, client *http.Client, url string) (size int64) {
	body, writer := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sendUpload(t, client, url, body)
		_ = body.Close()
	}()
	content := fakeimmich.Content(gigabyte)
	_, _ = io.WriteString(writer, formHead)
	for ticker := time.Tick(5 * time.Millisecond); ctx.Err() == nil; <-ticker {
		n, err := io.CopyN(writer, content, 8<<10)
		size += n
		if err != nil { // sendUpload tells why
			break
		}
	}
	_, _ = io.WriteString(writer, formTail)
	_ = writer.Close()
	<-sent
	return size
}

// askUntil makes a request every 20 ms, half of them on new connections, until the end of the context, and one more
// after it, whose certificate it returns.
func askUntil(ctx context.Context, t *testing.T, client *http.Client, url string) *x509.Certificate {
	ticker := time.Tick(20 * time.Millisecond)
	for i := 0; ctx.Err() == nil; i++ {
		if i%2 == 0 {
			client.CloseIdleConnections()
		}
		if ask(t, client, url) == nil {
			return nil
		}
		<-ticker
	}
	client.CloseIdleConnections()
	return ask(t, client, url)
}

func ask(t *testing.T, client *http.Client, url string) *x509.Certificate {
	response, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s, %v", response.Status, err)
		return nil
	}
	return response.TLS.PeerCertificates[0]
}

// wantUploads wants all that was sent at Immich, and nothing else.
func wantUploads(t *testing.T, immich *fakeimmich.Server, sizes <-chan int64) {
	t.Helper()
	arrived := map[int64]int{}
	for _, upload := range immich.Uploads() {
		if !upload.Complete {
			t.Errorf("Immich has %+v", upload)
		}
		arrived[upload.Size]++
	}
	for size := range sizes {
		arrived[size]--
	}
	for size, difference := range arrived {
		if difference != 0 {
			t.Errorf("of %d bytes, %+d uploads arrived", size, difference)
		}
	}
}

// TestAuthorityAsksForRenewal has a certificate that is good for 90 days, until the authority says otherwise. (Pebble has
// clients ask every 6 hours; what stands before it says every second.)
func TestAuthorityAsksForRenewal(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	var asked atomic.Int32
	startHurried(t, a.behind(t, func(r *http.Response) {
		if strings.Contains(r.Request.URL.Path, "/renewalInfo/") {
			asked.Add(1)
			r.Header.Set("Retry-After", "1")
		}
	}))
	before := awaitCertificate(t, a.https)
	a.announceRenewal(t, before)
	await(t, "another certificate", func() bool { now := certificate(a.https, domain); return now != nil && !now.Equal(before) })
	sofar := asked.Load()
	await(t, "more questions", func() bool { return asked.Load() > sofar+2 })
	if a.issued() != 2 {
		t.Errorf("%d certificates were issued", a.issued())
	}
}

// behind returns the authority as it is seen through a proxy that may change its answers.
func (a *authority) behind(t *testing.T, change func(*http.Response)) *authority {
	t.Helper()
	target, err := url.Parse(a.directory)
	if err != nil {
		t.Fatal(err)
	}
	front := &httputil.ReverseProxy{
		Transport:      a.client(t).Transport,
		Rewrite:        func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		ModifyResponse: func(r *http.Response) error { change(r); return nil },
	}
	seen := *a
	seen.directory = a.serve(t, front) + target.Path
	return &seen
}

// serve runs a server for which the same roots vouch, and returns its address.
func (a *authority) serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.roots, a.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// announceRenewal has the authority say that the certificate should have been renewed an hour ago.
func (a *authority) announceRenewal(t *testing.T, leaf *x509.Certificate) {
	t.Helper()
	now := time.Now().UTC()
	window := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`,
		now.Add(-2*time.Hour).Format(time.RFC3339), now.Add(-time.Hour).Format(time.RFC3339))
	body, err := json.Marshal(map[string]string{
		"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})), "ariResponse": window,
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.client(t).Post(a.management+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
}
