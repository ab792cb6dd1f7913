package proxy

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// trusted is the certificate of httptest, for 127.0.0.1, which TestMain makes one of the system's.
var trusted tls.Certificate

func TestMain(m *testing.M) {
	server := httptest.NewTLSServer(nil)
	trusted = server.TLS.Certificates[0]
	directory, err := os.MkdirTemp("", "proxy")
	if err != nil {
		panic(err)
	}
	file := filepath.Join(directory, "roots.pem")
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, roots, 0o600); err != nil {
		panic(err)
	}
	server.Close()
	_ = os.Setenv("SSL_CERT_FILE", file) // read once, when the first certificate is verified
	code := m.Run()
	_ = os.RemoveAll(directory)
	os.Exit(code)
}

// startTLS serves each connection once with TLS, and returns the URL.
func startTLS(t *testing.T, serve func(conn *tls.Conn)) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{trusted}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn.(*tls.Conn))
			}()
		}
	}()
	return "https://" + l.Addr().String()
}

// TestCloseNotifyEndsAnUpload has an Immich that ends TLS in the middle of an upload, but not the TCP connection, and a client that
// sends nothing meanwhile.
func TestCloseNotifyEndsAnUpload(t *testing.T) {
	t.Parallel()
	immich := startTLS(t, func(conn *tls.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.CloseWrite()
		<-t.Context().Done()
	})
	body, client := io.Pipe()
	defer func() { _ = client.Close() }()
	statuses := make(chan int, 1)
	go func() {
		status, _ := upload(newProxy(t, immich), "", io.MultiReader(strings.NewReader("the beginning"), body))
		statuses <- status
	}()
	select {
	case status := <-statuses:
		if status != http.StatusBadGateway {
			t.Errorf("status %d", status)
		}
	case <-time.After(patience):
		t.Error("it still waits for the client")
	}
}

// TestUploadThatIsNotReadTimesOut wants the status that it has over plain HTTP.
func TestUploadThatIsNotReadTimesOut(t *testing.T) {
	t.Parallel()
	immich := startTLS(t, func(conn *tls.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		<-t.Context().Done()
	})
	status, body := upload(newIdleProxy(t, 300*time.Millisecond, immich), "", endless{})
	if status != http.StatusGatewayTimeout {
		t.Errorf("%d %s", status, body)
	}
}

// endless is a body of zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// failedHandshakes are servers with which no TLS connection can be opened.
func failedHandshakes(t *testing.T) map[string]string {
	t.Helper()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	silent := httptest.NewUnstartedServer(nil) // it listens, but accepts no connection
	t.Cleanup(silent.Close)
	other := strings.Replace(startTLS(t, func(*tls.Conn) {}), "127.0.0.1", "localhost", 1) // for which it has no certificate
	closing := startUpstream(t, func(net.Conn, int) bool { return false })
	return map[string]string{
		"without TLS":                "https://" + plain.Listener.Addr().String(),
		"with another name's":        other,
		"that is silent":             "https://" + silent.Listener.Addr().String(),
		"that closes the connection": strings.Replace(closing.url, "http:", "https:", 1),
	}
}

// TestFailedHandshakeIsNoConnection sends uploads, which may be sent once only.
func TestFailedHandshakeIsNoConnection(t *testing.T) {
	t.Parallel()
	good := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	good.StartTLS()
	t.Cleanup(good.Close)
	for name, bad := range failedHandshakes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if status, body := upload(newProxy(t, bad), "", strings.NewReader("the upload")); status != http.StatusBadGateway || !strings.Contains(body, "Immich does not answer") {
				t.Errorf("%d %s", status, body)
			}
			both := newProxy(t, bad, good.URL)
			if status, body := upload(both, clientOf(both, bad), strings.NewReader("the upload")); status != http.StatusOK || body != "the upload" {
				t.Errorf("with another server: %d %s", status, body)
			}
		})
	}
}

// clientOf is a client whose requests go to that server first, also if a ping has already failed.
func clientOf(p *Proxy, server string) string {
	for _, u := range p.pool.members {
		u.down.Store(false)
	}
	for n := 0; ; n++ {
		client := strconv.Itoa(n)
		first := slices.MinFunc(p.pool.members, func(a, b *upstream) int { return bytes.Compare(affinity(client, a), affinity(client, b)) })
		if first.url.String() == server {
			return client
		}
	}
}

func upload(p *Proxy, client string, content io.Reader) (status int, body string) {
	r := httptest.NewRequest(http.MethodPost, "/", content)
	r.Header.Set("X-Real-Ip", client)
	response := httptest.NewRecorder()
	p.ServeHTTP(response, r)
	return response.Code, response.Body.String()
}
