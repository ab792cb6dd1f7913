package clientcerts_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// chromiumScript runs Chromium with its own home directory, whose certificate database has the .p12, and with a policy that
// selects the certificate to send. Chromium reads policies in /etc only, so it gets its own /etc/chromium as well.
const chromiumScript = `
mkdir -p "$HOME/.pki/nssdb" "$HOME/policies/policies/managed"
certutil -N -d "sql:$HOME/.pki/nssdb" --empty-password
if [ -n "$P12" ]; then pk12util -i "$P12" -W "$PASSWORD" -d "sql:$HOME/.pki/nssdb" >/dev/null; fi
echo '{"AutoSelectCertificateForUrls": ["{\"pattern\":\"*\",\"filter\":{}}"]}' >"$HOME/policies/policies/managed/certificates.json"
exec unshare $USERNS --mount sh -c 'mount --bind "$HOME/policies" /etc/chromium && exec "$@"' sh chromium --headless --no-sandbox --disable-gpu \
	--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage --disable-quic \
	--password-store=basic --user-data-dir="$HOME/profile" --ignore-certificate-errors-spki-list="$SITE" --host-resolver-rules='MAP photos.example.com 127.0.0.1, MAP * ~NOTFOUND' \
	--virtual-time-budget=10000 --timeout=60000 --dump-dom "$URL"
`

// Chromium sends the certificate that immichaccess cert has made to the standalone proxy; without one, it is denied.
func TestChromium(t *testing.T) {
	s := newSite(t)
	phone, lost := s.issue(t, "phone"), s.issue(t, "lost-phone")
	s.serve(t, "--tls.clientCA="+phone.ca, "--access.clientCertificates=true", "--access.revokedCertificates=lost-phone", "--access.keyNameHeader=X-Key-Name")
	for name, c := range map[string]struct {
		certificate *issued
		want        []string
	}{
		"with":                {phone, []string{"<th>X-Key-Name</th><td>phone", "API answers", "WebSocket connected"}},
		"without":             {nil, []string{`"statusCode":403`, "Missing or invalid access key"}},
		"one that is revoked": {lost, []string{`"statusCode":403`, "revoked certificate"}},
	} {
		page := s.browse(t, c.certificate)
		for _, want := range c.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %s in %s", name, want, page)
			}
		}
	}
}

// browse returns the page that Chromium shows: with a fake Immich, the headers of the request that has reached it.
func (s *site) browse(t *testing.T, certificate *issued) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-euc", chromiumScript)
	command.Env = append(os.Environ(), "HOME="+t.TempDir(), "SITE="+s.publicKeyDigest(t), "URL=https://"+siteHost+s.addr[strings.LastIndex(s.addr, ":"):]+"/api/show", "USERNS=", "P12=")
	if os.Getuid() != 0 {
		command.Env = append(command.Env, "USERNS=--map-root-user")
	}
	if certificate != nil {
		command.Env = append(command.Env, "P12="+certificate.p12, "PASSWORD="+certificate.password)
	}
	command.WaitDelay = 10 * time.Second
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

// publicKeyDigest is the digest by which Chromium trusts the site.
func (s *site) publicKeyDigest(t *testing.T) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}
