package dns

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// dynamicUpdate is the environment for the provider rfc2136.
func dynamicUpdate(more ...string) []string {
	return append([]string{
		"RFC2136_NAMESERVER=" + primary, "RFC2136_TSIG_KEY=" + keyName, "RFC2136_TSIG_ALGORITHM=hmac-sha256", "RFC2136_TSIG_SECRET=" + keySecret,
		"RFC2136_SEQUENCE_INTERVAL=1", "RFC2136_POLLING_INTERVAL=1",
	}, more...)
}

// awaitNoRecord waits until the challenge's record is gone.
func awaitNoRecord(t *testing.T, domain string) {
	t.Helper()
	harness.Await(t, "the record to be removed", func() bool {
		records, _ := at(primary).LookupTXT(context.Background(), "_acme-challenge."+domain+".")
		return len(records) == 0
	})
}

// A wildcard and its parent have records of the same name. No port of the proxy can be reached by the CA.
func TestWildcardByDynamicUpdates(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(keySecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startCA(t, nil).startProxy(t, dynamicUpdate("RFC2136_TSIG_SECRET=", "RFC2136_TSIG_SECRET_FILE="+secret),
		"--domains=*.example.com,example.com", "--acme.dns.provider=rfc2136", "--log.level=debug")
	wildcard := p.awaitCertificate(t, "photos.example.com")
	if other := p.awaitCertificate(t, "example.com"); other.Equal(wildcard) {
		t.Error("both names have the same certificate")
	}
	if leaf := p.certificate(""); leaf == nil || !leaf.Equal(wildcard) {
		t.Errorf("a client that names no host gets %v", leaf)
	}
	for host, misdirected := range map[string]bool{"family.example.com": false, "example.com": false, "a.b.example.com": true} {
		if p.certificate(host) == nil {
			if !misdirected {
				t.Errorf("%s: no certificate", host)
			}
			continue
		}
		if status := p.status(t, host); (status == http.StatusMisdirectedRequest) != misdirected {
			t.Errorf("%s: status %d", host, status)
		}
	}
	awaitNoRecord(t, "example.com")
	for _, text := range []string{`level=INFO msg=certificate names=*.example.com from="ACME, by Pebble`, "days_left=89", "none yet; it is being ordered"} {
		if !strings.Contains(p.Log.String(), text) {
			t.Errorf("the log does not say %q", text)
		}
	}
	if strings.Contains(p.Log.String(), keySecret) {
		t.Error("the log has the secret")
	}
}

// The domain's own zone never changes: a CNAME record leads to another.
func TestDelegatedChallenge(t *testing.T) {
	t.Parallel()
	p := startCA(t, nil).startProxy(t, dynamicUpdate(), "--domains=alias.example.com", "--acme.dns.provider=rfc2136")
	p.awaitCertificate(t, "alias.example.com")
}

// The script is the one of the documentation.
func TestProgram(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../examples/standalone/dns-challenge.sh")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "dns.key")
	content := fmt.Sprintf("key %q { algorithm hmac-sha256; secret %q; };\n", keyName, keySecret)
	if err := os.WriteFile(key, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := startCA(t, nil)
	p := authority.startProxy(t, []string{"EXEC_PATH=" + script, "DNS_SERVER=" + primary, "DNS_KEY=" + key},
		"--domains=*.program.example.com", "--acme.dns.provider=exec")
	p.awaitCertificate(t, "photos.program.example.com")
	awaitNoRecord(t, "program.example.com")

	failing := authority.startProxy(t, []string{"EXEC_PATH=" + script, "DNS_SERVER=" + primary, "DNS_KEY=/nowhere"},
		"--domains=*.program.example.com", "--acme.dns.provider=exec")
	failing.wantFailure(t, keySecret, "the DNS provider exec did not set the record", "exit status")
	if !strings.Contains(failing.Log.String(), "/nowhere") {
		t.Error("the log does not have what the program said")
	}
}

// The secondary nameserver has no record before the proxy waits for it.
func TestSlowPropagation(t *testing.T) {
	t.Parallel()
	p := startCA(t, nil).startProxy(t, dynamicUpdate(), "--domains=*.delayed.test", "--acme.dns.provider=rfc2136")
	p.Log.Await(t, 0, "waiting for a DNS record to show")
	if line := first(p.Log.String(), "waiting for a DNS record to show"); !strings.Contains(line, "not on ns2.delayed.test yet") {
		t.Errorf("the log does not say what it waits for: %s", line)
	}
	harness.Await(t, "a certificate", func() bool {
		notify(t, "delayed.test") // again, if an order fails and the next has another record
		return harness.Within(time.Second, func() bool { return p.certificate("photos.delayed.test") != nil })
	})
	p.awaitCertificate(t, "photos.delayed.test")
}

func TestNoPropagation(t *testing.T) {
	t.Parallel()
	p := startCA(t, nil).startProxy(t, dynamicUpdate("RFC2136_PROPAGATION_TIMEOUT=4"), "--domains=stale.test", "--acme.dns.provider=rfc2136")
	p.wantFailure(t, keySecret, "the DNS record does not show after 4s", "RFC2136_PROPAGATION_TIMEOUT", "_acme-challenge.stale.test: not on ns2.stale.test yet")
	awaitNoRecord(t, "stale.test")
}

func TestProviderFails(t *testing.T) {
	t.Parallel()
	const secret = "d3Jvbmctc2VjcmV0LW9mLXRoZS10ZXN0cw=="
	cloudflare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, `{"success":false,"errors":[{"code":9109,"message":"Invalid access token %s"}]}`, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	t.Cleanup(cloudflare.Close)
	authority := startCA(t, nil)
	for name, c := range map[string]struct {
		provider string
		environ  []string
		want     []string
	}{
		"wrong TSIG secret": {"rfc2136", dynamicUpdate("RFC2136_TSIG_SECRET=" + secret), []string{"rfc2136 did not set the record", "is RFC2136_TSIG_SECRET right"}},
		"no nameserver":     {"rfc2136", dynamicUpdate("RFC2136_NAMESERVER=" + nobody), []string{"rfc2136 can't be reached", "connection refused"}},
		"wrong token":       {"cloudflare", []string{"CF_DNS_API_TOKEN=" + secret, "CLOUDFLARE_BASE_URL=" + cloudflare.URL}, []string{"cloudflare did not set the record", "CF_DNS_API_TOKEN", "Invalid access token ****"}},
		"service down":      {"httpreq", []string{"HTTPREQ_ENDPOINT=http://me:" + secret + "@" + nobody + "/"}, []string{"httpreq can't be reached", "connection refused"}},
		"wrong AWS secret":  {"route53", route53Environment(startRoute53(t), "AWS_SECRET_ACCESS_KEY="+secret), []string{"route53 did not set the record", "AWS answered SignatureDoesNotMatch", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: does the secret belong to the access key"}},
		"unknown AWS key":   {"route53", route53Environment(startRoute53(t), "AWS_ACCESS_KEY_ID=AKIDOTHER"), []string{"route53 did not set the record", "AWS answered InvalidClientTokenId", "is the access key active"}},
		"no hosted zone":    {"route53", route53Environment(startRoute53(t)), []string{"route53 did not set the record", "there is no public hosted zone for _acme-challenge.photos.example.com", "of the AWS account that has the zone"}},
		"AWS down":          {"route53", route53Environment("http://" + nobody), []string{"route53 can't be reached", "connection refused"}},
		"token in the URL":  {"duckdns", []string{"DUCKDNS_TOKEN=" + secret, "SSL_CERT_FILE=" + startDuckDNS(t)}, []string{"duckdns did not set the record", "is DUCKDNS_TOKEN right", "(KO)", "token=****"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := authority.startProxy(t, c.environ, "--domains=photos.example.com", "--acme.dns.provider="+c.provider)
			p.wantFailure(t, secret, c.want...)
		})
	}
}

// startDuckDNS runs a server in the place of DuckDNS that knows no token, and returns the PEM file that vouches for it.
func startDuckDNS(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	harness.WriteCertificate(t, certificate, key, "www.duckdns.org")
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, net.JoinHostPort(duckDNS, "443"), &tls.Config{Certificates: []tls.Certificate{pair}}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("KO"))
	})
	return certificate
}

// serve answers at an address, by TLS if there is a configuration.
func serve(t *testing.T, address string, secure *tls.Config, handler http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}, TLS: secure}
	if secure == nil {
		server.Start()
	} else {
		server.StartTLS()
	}
	t.Cleanup(server.Close)
}
