package app

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/clientcert"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"github.com/quic-go/quic-go/http3"
)

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	clients := conformance.NewClients(t)
	a := open(t, func(s *config.Settings) {
		s.TLS.ClientCA = clients.CAFile
		s.Access.Keys = nil
		clients.Options.Apply(t, reflect.ValueOf(&s.Access).Elem())
	})
	clients.Run(t, conformance.CertificateProxy{
		Gateway: conformance.Gateway{Addr: a.Addr().String(), Host: "localhost", TLS: trusting(), HTTP3: true, Immich: a.immich},
	})
}

// withClientCA opens a proxy that accepts certificates of one authority only.
func withClientCA(t *testing.T) (a opened, authority *clientcert.Authority, caFile string) {
	t.Helper()
	caFile = filepath.Join(t.TempDir(), "client-ca.pem")
	authority = replaceCA(t, caFile)
	return open(t, func(s *config.Settings) {
		s.TLS.ClientCA, s.Access.ClientCertificates, s.Access.Keys = caFile, true, nil
	}), authority, caFile
}

// replaceCA writes a new authority into the file.
func replaceCA(t *testing.T, caFile string) *clientcert.Authority {
	t.Helper()
	authority, err := clientcert.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(caFile, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority
}

func issue(t *testing.T, authority *clientcert.Authority, lifetime time.Duration) tls.Certificate {
	t.Helper()
	certificate, err := authority.Issue("phone", time.Now(), time.Now().Add(lifetime))
	if err != nil {
		t.Fatal(err)
	}
	return certificate.TLS()
}

// withCertificate makes the transports of protocols send one, and resume sessions.
func withCertificate(t *testing.T, transport http.RoundTripper, certificate tls.Certificate) *http.Client {
	t.Helper()
	switch transport := transport.(type) {
	case *http.Transport:
		transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
		transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	case *http3.Transport:
		transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
		transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	}
	return &http.Client{Transport: transport, Timeout: patience}
}

// ask sends a request without a key, and reports whether TLS has resumed a session.
func (o opened) ask(t *testing.T, client *http.Client) (status int, resumed bool) {
	t.Helper()
	request := newRequest(t, http.MethodGet, o.url("/api/show"), nil)
	request.Header.Del("X-Access-Key")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, response.TLS.DidResume
}

// An expired certificate is denied: on the connection on which it was presented, and on one that resumes the session.
func TestClientCertificateThatExpires(t *testing.T) {
	t.Parallel()
	a, authority, _ := withClientCA(t)
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		lifetime := 2 * time.Second
		for status := 0; status != http.StatusOK && lifetime < patience; lifetime *= 2 { // a slow machine needs more than a quick one
			client.CloseIdleConnections()
			client = withCertificate(t, client.Transport, issue(t, authority, lifetime))
			status, _ = a.ask(t, client)
		}
		waitFor(t, "the certificate to expire on its connection", func() bool {
			time.Sleep(100 * time.Millisecond)
			status, _ := a.ask(t, client)
			return status == http.StatusForbidden
		})
		client.CloseIdleConnections()
		if status, _ := a.ask(t, client); status != http.StatusForbidden {
			t.Errorf("on another connection: status %d", status)
		}
	})
}

// Another authority in the file takes effect: certificates of the old one are denied, on resumed sessions too.
func TestClientCAThatChanges(t *testing.T) {
	t.Parallel()
	for protocol, transport := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			a, old, caFile := withClientCA(t)
			client := withCertificate(t, transport(t), issue(t, old, time.Hour))
			if status, _ := a.ask(t, client); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			waitFor(t, "a session that is resumed", func() bool {
				client.CloseIdleConnections()
				status, resumed := a.ask(t, client)
				return status == http.StatusOK && resumed
			})

			changed := replaceCA(t, caFile)
			waitFor(t, "the old authority to count no more", func() bool {
				status, _ := a.ask(t, client)
				return status == http.StatusForbidden
			})
			client.CloseIdleConnections()
			if status, resumed := a.ask(t, client); status != http.StatusForbidden || !resumed {
				t.Errorf("on a connection that resumes (%t): status %d", resumed, status)
			}
			client = withCertificate(t, transport(t), issue(t, changed, time.Hour))
			if status, _ := a.ask(t, client); status != http.StatusOK {
				t.Errorf("the new authority: status %d", status)
			}

			if err := os.WriteFile(caFile, []byte("half a file"), 0o600); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the log to report a broken file", func() bool {
				if status, _ := a.ask(t, client); status != http.StatusOK {
					t.Fatalf("after a broken edit: status %d", status)
				}
				return strings.Contains(a.log.String(), "tls.clientCA stays as it was")
			})
		})
	}
}

// Clients get the names of the authorities, so that a browser asks its user only if it has a certificate of one of them.
func TestClientCAIsNamed(t *testing.T) {
	t.Parallel()
	a, authority, caFile := withClientCA(t)
	asked := func() (names [][]byte) {
		t.Helper()
		config := trusting("h2")
		config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			names = info.AcceptableCAs
			return &tls.Certificate{}, nil
		}
		conn := dial(t, &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: config}, a.Addr())
		_ = conn.Close()
		return names
	}
	if names := asked(); len(names) != 1 || string(names[0]) != string(authority.Certificate.RawSubject) {
		t.Errorf("%q", names)
	}
	changed := replaceCA(t, caFile)
	waitFor(t, "the new authority to be named", func() bool {
		names := asked()
		return len(names) == 1 && string(names[0]) == string(changed.Certificate.RawSubject)
	})
}

// A reload revokes a certificate on connections that are open.
func TestClientCertificateIsRevokedByReload(t *testing.T) {
	t.Parallel()
	a, authority, _ := withClientCA(t)
	client := withCertificate(t, protocols["HTTP/2"](t), issue(t, authority, time.Hour))
	if status, _ := a.ask(t, client); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	revoking := *a.settings
	revoking.Access.RevokedCertificates = []string{"phone"}
	a.Reload(func() (*config.Loaded, error) { return &config.Loaded{Settings: revoking}, nil })
	if status, _ := a.ask(t, client); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
}

func TestClientCAWithoutEffectIsReported(t *testing.T) {
	t.Parallel()
	caFile := filepath.Join(t.TempDir(), "client-ca.pem")
	replaceCA(t, caFile)
	a := open(t, func(s *config.Settings) { s.TLS.ClientCA = caFile })
	a.log.Await(t, "access.clientCertificates is false")
}
