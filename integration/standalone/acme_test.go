package standalone

import (
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// The standalone proxy gets its certificates from Pebble, the test CA of Let's Encrypt's authors: real programs and real
// challenges, over loopback.

// startACME runs the proxy with certificates of the CA; later arguments take precedence.
func startACME(t *testing.T, ca *harness.Pebble, storage string, arguments ...string) *harness.Log {
	t.Helper()
	_, upstream := harness.ServeImmich(t)
	return harness.Start(t, harness.Binary(t), append(acmeArguments(ca, upstream, storage), arguments...)...).Log
}

// acmeArguments are for a proxy that requires no key and gets its certificates from the CA.
func acmeArguments(ca *harness.Pebble, upstream, storage string) []string {
	return append(ca.Arguments(storage), "--upstreams="+upstream, "--access.requireKey=false", "--listen.https="+ca.HTTPS, "--listen.http="+ca.HTTP)
}

func awaitCertificate(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	var leaf *x509.Certificate
	harness.Await(t, "a certificate", func() bool { leaf = harness.Certificate(address, harness.Domain); return leaf != nil })
	if err := leaf.VerifyHostname(harness.Domain); err != nil || !strings.HasPrefix(leaf.Issuer.CommonName, "Pebble") {
		t.Fatalf("%v, issued by %s", err, leaf.Issuer)
	}
	return leaf
}

func TestIssueByEachChallenge(t *testing.T) {
	t.Parallel()
	t.Run("TLS-ALPN-01", func(t *testing.T) {
		t.Parallel()
		ca := harness.StartPebble(t, harness.PebbleOptions{})
		startACME(t, ca, t.TempDir(), "--listen.http=")
		awaitCertificate(t, ca.HTTPS)
		if leaf := harness.Certificate(ca.HTTPS, "elsewhere.example.com"); leaf != nil {
			t.Errorf("another name gets %s", leaf.Subject)
		}
	})
	t.Run("HTTP-01", func(t *testing.T) {
		t.Parallel()
		ca := harness.StartPebble(t, harness.PebbleOptions{})
		elsewhere := harness.FreeAddress(t) // so that the TLS-ALPN-01 challenge fails
		startACME(t, ca, t.TempDir(), "--listen.https="+elsewhere)
		awaitCertificate(t, elsewhere)
	})
}

// With acme.server, no request about a domain goes to Let's Encrypt.
func TestOnlyTheConfiguredCAIsUsed(t *testing.T) {
	t.Parallel()
	ca := harness.StartPebble(t, harness.PebbleOptions{})
	log := startACME(t, ca, t.TempDir())
	awaitCertificate(t, ca.HTTPS)
	if log.Contains("letsencrypt.org") {
		t.Error("Let's Encrypt was asked as well")
	}
}

func TestInstancesShareACertificate(t *testing.T) {
	t.Parallel()
	ca, storage := harness.StartPebble(t, harness.PebbleOptions{}), t.TempDir()
	second := harness.FreeAddress(t)
	startACME(t, ca, storage)
	startACME(t, ca, storage, "--listen.https="+second, "--listen.http=")

	one, two := awaitCertificate(t, ca.HTTPS), awaitCertificate(t, second)
	if one.SerialNumber.Cmp(two.SerialNumber) != 0 || ca.Issued() != 1 {
		t.Errorf("%d certificates were issued, %x and %x are in use", ca.Issued(), one.SerialNumber, two.SerialNumber)
	}
}

func TestCADown(t *testing.T) {
	t.Parallel()
	ca, storage := harness.StartPebble(t, harness.PebbleOptions{}), t.TempDir()
	startACME(t, ca, storage)
	before := awaitCertificate(t, ca.HTTPS)

	if err := ca.Kill(); err != nil {
		t.Fatal(err)
	}
	down := *ca
	down.HTTPS, down.HTTP = harness.FreeAddress(t), harness.FreeAddress(t)
	log := startACME(t, &down, storage, "--domains=new.example.com")
	harness.Await(t, "the log to say why, and when it tries again", func() bool {
		return log.Contains("connection refused") && log.Contains("retry")
	})
	if status := plainStatus(t, down.HTTP); status != http.StatusPermanentRedirect {
		t.Errorf("plain HTTP is answered with %d", status)
	}
	if stored := harness.Certificate(down.HTTPS, harness.Domain); stored == nil || stored.SerialNumber.Cmp(before.SerialNumber) != 0 {
		t.Errorf("the stored certificate is not in use: %v", stored)
	}
}

func plainStatus(t *testing.T, address string) int {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "new.example.com"
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestCARefuses(t *testing.T) {
	t.Parallel()
	ca := harness.StartPebble(t, harness.PebbleOptions{})
	log := startACME(t, ca, t.TempDir(), "--domains="+harness.BlockedDomain)
	awaitCertificate(t, ca.HTTPS)
	harness.Await(t, "the log to say why, and when it tries again", func() bool {
		return log.Contains("rejectedIdentifier") && log.Contains("retry")
	})
}
