package dns

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"crypto/tls"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// What the log says when the CA gives no certificate. Pebble has neither rate limits nor CAA (see internal/certs), and does not tell why it
// could not connect to port 443.
func TestNoCertificate(t *testing.T) {
	t.Parallel()
	listenMute(t)
	serveElsewhere(t)
	authority := startCA(t, map[string]any{"domainBlocklist": []string{"blocked.example.com"}})
	wantsAccount := startCA(t, map[string]any{"externalAccountBindingRequired": true, "externalAccountMACKeys": map[string]string{"account": "c2VjcmV0LW9mLXRoZS1hY2NvdW50LWF0LXRoZS1DQQ"}})
	down := *authority
	down.directory = "https://" + nobody + "/dir"
	untrusted := *authority
	untrusted.roots = wantsAccount.roots
	const over443 = "port 443 (TLS-ALPN-01): "
	for name, c := range map[string]struct {
		ca        *ca
		domain    string
		arguments []string
		want      []string
	}{
		"refused":       {authority, "photos.example.com", nil, []string{over443 + "the CA could not connect", "port 80 (HTTP-01): connection refused", "does photos.example.com resolve to this server (it resolves to " + nobody + ")", "ports 443 and 80"}},
		"no answer":     {authority, "mute.example.com", nil, []string{over443 + "the CA could not connect", "port 80 (HTTP-01): no answer in time"}},
		"wrong address": {authority, "elsewhere.example.com", nil, []string{over443 + "the CA could not connect", "port 80 (HTTP-01): another server answered", "resolve to this server (it resolves to " + elsewhere + ")"}},
		"no such name":  {authority, "missing.example.com", nil, []string{"the name is not in DNS (NXDOMAIN)", "is there an A or AAAA record for missing.example.com"}},
		"DNS fails":     {authority, "photos.broken.test", nil, []string{"the domain's nameservers fail (SERVFAIL)"}},
		"blocked":       {authority, "blocked.example.com", nil, []string{"the CA does not issue certificates for this name", "rejectedIdentifier"}},
		"CA down":       {&down, "photos.example.com", nil, []string{"the CA can't be reached", "connection refused", "acme.server"}},
		"CA of others":  {&untrusted, "photos.example.com", nil, []string{"the CA's own certificate is not trusted", "acme.trustedRoots"}},
		"no account":    {wantsAccount, "photos.example.com", nil, []string{"external account binding", "acme.eab.keyID", "externalAccountRequired"}},
		"wrong account": {wantsAccount, "photos.example.com", []string{"--acme.eab.keyID=other", "--acme.eab.hmacKey=c2VjcmV0LW9mLWFub3RoZXI"}, []string{"the CA does not accept the account", "acme.eab.keyID"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.ca.startProxy(t, nil, append(c.arguments, "--domains="+c.domain, "--listen.http="+harness.FreeAddress(t))...)
			p.wantFailure(t, "c2VjcmV0LW9mLWFub3RoZXI", append(c.want, "domain="+c.domain, "ca="+strings.TrimSuffix(strings.TrimPrefix(c.ca.directory, "https://"), "/dir"))...)
		})
	}
}

// listenMute takes connections where the CA validates, and never answers.
func listenMute(t *testing.T) {
	t.Helper()
	for _, port := range []string{"443", "80"} {
		listener, err := net.Listen("tcp", net.JoinHostPort(mute, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
}

// serveElsewhere is another web server.
func serveElsewhere(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	harness.WriteCertificate(t, certificate, key)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, net.JoinHostPort(elsewhere, "443"), &tls.Config{Certificates: []tls.Certificate{pair}}, http.NotFound)
	serve(t, net.JoinHostPort(elsewhere, "80"), nil, http.NotFound)
}
