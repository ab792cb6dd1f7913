package standalone

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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// The renewal of certificates. A test can't wait for the 10 minutes after which certmagic checks again whether one is due, so
// the proxy is built with some of certmagic's constants changed.

func startFastRenewal(t *testing.T, ca *harness.Pebble) (*fakeimmich.Server, *harness.Log) {
	t.Helper()
	immich, upstream := harness.ServeImmich(t)
	return immich, harness.Start(t, harness.FastRenewal.Build(t), acmeArguments(ca, upstream, t.TempDir())...).Log
}

// manage returns the response of Pebble's management interface.
func manage(t *testing.T, ca *harness.Pebble, path string) []byte {
	t.Helper()
	response, err := ca.Client(t).Get(ca.Management + path)
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

// TestRenewalUnderLoad has certificates that are valid for seconds. Clients verify them, as real ones do.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	ca := harness.StartPebble(t, harness.PebbleOptions{Lifetime: 24 * time.Second})
	immich, _ := startFastRenewal(t, ca)
	before := awaitCertificate(t, ca.HTTPS)
	roots := harness.CertPool(t, string(manage(t, ca, "/roots/0")))

	var all sync.WaitGroup
	sizes := make(chan int64, 3)
	loaded, renewed := context.WithCancel(t.Context())
	t.Cleanup(all.Wait)
	uploaders, requesters := harness.Clients(t), harness.Clients(t)
	for protocol := range uploaders {
		uploader, requester := harness.ForSite(uploaders[protocol], roots, nil), harness.ForSite(requesters[protocol], roots, nil)
		all.Go(func() { sizes <- uploadUntil(loaded, t, uploader, "https://"+ca.HTTPS+"/api/assets") })
		all.Go(func() {
			after := requestUntil(loaded, t, requester, "https://"+ca.HTTPS+"/api/server/ping")
			if after == nil || after.Equal(before) {
				t.Errorf("%s: a new connection does not have the new certificate", protocol)
			}
		})
	}
	harness.Await(t, "all uploads to be in progress", func() bool { return len(immich.Uploads()) == len(uploaders) })
	harness.Await(t, "another certificate", func() bool {
		now := harness.Certificate(ca.HTTPS, harness.Domain)
		return now != nil && !now.Equal(before)
	})
	renewed()
	all.Wait()
	close(sizes)
	wantUploads(t, immich, sizes)
}

// uploadUntil sends a file in small pieces until the end of the context, and returns its size.
func uploadUntil(ctx context.Context, t *testing.T, client *http.Client, url string) (size int64) {
	body, writer := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		harness.Upload(t, client, url, body)
		_ = body.Close()
	}()
	content := fakeimmich.Content(1 << 30)
	_, _ = io.WriteString(writer, harness.FormHead("a.mp4"))
	for ticker := time.Tick(5 * time.Millisecond); ctx.Err() == nil; <-ticker {
		n, err := io.CopyN(writer, content, 8<<10)
		size += n
		if err != nil { // harness.Upload reports why
			break
		}
	}
	_, _ = io.WriteString(writer, harness.FormTail)
	_ = writer.Close()
	<-sent
	return size
}

// requestUntil makes a request every 20 ms, half of them on new connections, until the end of the context, and one more
// after it, whose certificate it returns.
func requestUntil(ctx context.Context, t *testing.T, client *http.Client, url string) *x509.Certificate {
	ticker := time.Tick(20 * time.Millisecond)
	for i := 0; ctx.Err() == nil; i++ {
		if i%2 == 0 {
			client.CloseIdleConnections()
		}
		if request(t, client, url) == nil {
			return nil
		}
		<-ticker
	}
	client.CloseIdleConnections()
	return request(t, client, url)
}

func request(t *testing.T, client *http.Client, url string) *x509.Certificate {
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

// wantUploads requires that Immich has everything that was sent, and nothing else.
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

// TestCASuggestsRenewal has a certificate that is valid for 90 days, until the CA suggests its renewal (ARI). Pebble has clients
// poll every 6 hours; the proxy in front of it says every second.
func TestCASuggestsRenewal(t *testing.T) {
	t.Parallel()
	ca := harness.StartPebble(t, harness.PebbleOptions{})
	var asked atomic.Int32
	startFastRenewal(t, modified(t, ca, func(r *http.Response) {
		if strings.Contains(r.Request.URL.Path, "/renewalInfo/") {
			asked.Add(1)
			r.Header.Set("Retry-After", "1")
		}
	}))
	before := awaitCertificate(t, ca.HTTPS)
	suggestRenewal(t, ca, before)
	harness.Await(t, "another certificate", func() bool {
		now := harness.Certificate(ca.HTTPS, harness.Domain)
		return now != nil && !now.Equal(before)
	})
	soFar := asked.Load()
	harness.Await(t, "more requests for renewal information", func() bool { return asked.Load() > soFar+2 })
	if ca.Issued() != 2 {
		t.Errorf("%d certificates were issued", ca.Issued())
	}
}

// modified returns the CA behind a proxy that may change its responses.
func modified(t *testing.T, ca *harness.Pebble, change func(*http.Response)) *harness.Pebble {
	t.Helper()
	target, err := url.Parse(ca.Directory)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport:      ca.Client(t).Transport,
		Rewrite:        func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		ModifyResponse: func(r *http.Response) error { change(r); return nil },
	}
	changed := *ca
	changed.Directory = serveTLS(t, ca, proxy) + target.Path
	return &changed
}

// serveTLS runs a server with the certificate of the CA's directory, and returns its URL.
func serveTLS(t *testing.T, ca *harness.Pebble, handler http.Handler) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(ca.Roots, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// suggestRenewal makes the CA say that the certificate should have been renewed an hour ago.
func suggestRenewal(t *testing.T, ca *harness.Pebble, leaf *x509.Certificate) {
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
	response, err := ca.Client(t).Post(ca.Management+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
}
