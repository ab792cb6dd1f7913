package integration

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
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The standalone proxy gets its certificates from Pebble, the test server of Let's Encrypt's authors: real programs, real
// challenges, over loopback.

const (
	acmePatience = 2 * time.Minute
	domain       = "photos.example.com"
	refused      = "blocked-domain.example"
)

// programs builds what the tests run, once.
var programs = sync.OnceValues(func() (string, error) {
	directory, err := filepath.Abs("build")
	if err != nil {
		return "", err
	}
	builds := [][]string{
		{"build", "-o", directory + "/", "github.com/letsencrypt/pebble/v2/cmd/pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"},
		{"build", "-C", "..", "-o", filepath.Join(directory, "immichaccess"), "./cmd/standalone"},
	}
	for _, arguments := range builds {
		build := exec.CommandContext(context.Background(), "go", arguments...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // they run in containers as well, which have no libraries
		if output, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, output)
		}
	}
	return directory, nil
})

// launch runs a program until the test ends, and shows its log if the test fails.
func launch(t testing.TB, environ []string, name string, arguments ...string) (*logBuffer, *os.Process) {
	t.Helper()
	directory, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	command := exec.CommandContext(context.Background(), filepath.Join(directory, name), arguments...)
	command.Env = append(os.Environ(), environ...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, tail(log.String()))
		}
	})
	return log, command.Process
}

// authority is a running Pebble. It asks its questions at the two addresses.
type authority struct {
	directory  string // URL
	management string // URL
	roots      string // PEM file, of who vouches for the two
	key        string // PEM file, to the roots
	http       string
	https      string
	log        *logBuffer
	process    *os.Process
}

// startAuthority runs Pebble; what is given goes into its settings.
func startAuthority(t *testing.T, more ...map[string]any) *authority {
	t.Helper()
	names := freeAddress(t)
	launch(t, nil, "pebble-challtestsrv", "-dnsserver", names, "-management", freeAddress(t), "-defaultIPv6", "",
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	a := &authority{http: freeAddress(t), https: freeAddress(t)}
	address, management := freeAddress(t), freeAddress(t)
	a.directory, a.management = "https://"+address+"/dir", "https://"+management

	folder := t.TempDir()
	a.roots, a.key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	writeCertificate(t, a.roots, a.key)
	settings := map[string]any{
		"listenAddress": address, "managementListenAddress": management, "certificate": a.roots, "privateKey": a.key,
		"httpPort": portOf(t, a.http), "tlsPort": portOf(t, a.https), "domainBlocklist": []string{refused},
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   validFor(90 * 24 * time.Hour),
	}
	for _, m := range more {
		maps.Copy(settings, m)
	}
	content, err := json.Marshal(map[string]any{"pebble": settings})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pebble.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	a.log, a.process = launch(t, []string{"PEBBLE_VA_NOSLEEP=1"}, "pebble", "-config", file, "-dnsserver", names)
	await(t, "Pebble", func() bool { return strings.Contains(a.log.String(), "ACME directory available") })
	return a
}

// validFor is Pebble's profiles for certificates of one lifetime.
func validFor(lifetime time.Duration) map[string]any {
	return map[string]any{"default": map[string]any{"description": "", "validityPeriod": int(lifetime.Seconds())}}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func writeCertificate(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Pebble"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:  []string{"pebble", zeroSSL, zeroSSLAccounts},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(acmePatience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// startStandalone runs the proxy with the authority; later arguments win.
func startStandalone(t *testing.T, a *authority, storage string, arguments ...string) *logBuffer {
	t.Helper()
	_, upstream := serveImmich(t)
	log, _ := launch(t, nil, "immichaccess", append(a.arguments(upstream, storage), arguments...)...)
	return log
}

// arguments are for a proxy that has its certificates from the authority.
func (a *authority) arguments(upstream, storage string) []string {
	return []string{
		"--upstreams=" + upstream, "--access.requireKey=false", "--domains=" + domain, "--acme.server=" + a.directory,
		"--acme.trustedRoots=" + a.roots, "--acme.storage=" + storage, "--listen.https=" + a.https, "--listen.http=" + a.http,
	}
}

// certificate returns what the proxy shows, nil for none.
func certificate(address, name string) *x509.Certificate {
	leaf, _ := handshake(address, name)
	return leaf
}

// handshake returns the certificate that the proxy shows, and what it has stapled to it.
func handshake(address, name string) (leaf *x509.Certificate, staple []byte) {
	dialer := &net.Dialer{Timeout: time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil, nil
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0], conn.OCSPResponse()
}

func awaitCertificate(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	var leaf *x509.Certificate
	await(t, "a certificate", func() bool { leaf = certificate(address, domain); return leaf != nil })
	if err := leaf.VerifyHostname(domain); err != nil || !strings.HasPrefix(leaf.Issuer.CommonName, "Pebble") {
		t.Fatalf("%v, issued by %s", err, leaf.Issuer)
	}
	return leaf
}

func (a *authority) issued() int {
	return strings.Count(a.log.String(), "Issued certificate serial")
}

func TestIssueByEachChallenge(t *testing.T) {
	t.Parallel()
	t.Run("TLS-ALPN-01", func(t *testing.T) {
		t.Parallel()
		a := startAuthority(t)
		startStandalone(t, a, t.TempDir(), "--listen.http=")
		awaitCertificate(t, a.https)
		if leaf := certificate(a.https, "elsewhere.example.com"); leaf != nil {
			t.Errorf("another name gets %s", leaf.Subject)
		}
	})
	t.Run("HTTP-01", func(t *testing.T) {
		t.Parallel()
		a := startAuthority(t)
		elsewhere := freeAddress(t) // so that the other challenge finds nobody
		startStandalone(t, a, t.TempDir(), "--listen.https="+elsewhere)
		awaitCertificate(t, elsewhere)
	})
}

// acme.server stands in the place of Let's Encrypt, which learns nothing of a name that is not for it.
func TestOnlyTheNamedAuthorityIsAsked(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	log := startStandalone(t, a, t.TempDir())
	awaitCertificate(t, a.https)
	if strings.Contains(log.String(), "letsencrypt.org") {
		t.Error("Let's Encrypt was asked as well")
	}
}

func TestInstancesShareACertificate(t *testing.T) {
	t.Parallel()
	a, storage := startAuthority(t), t.TempDir()
	second := freeAddress(t)
	startStandalone(t, a, storage)
	startStandalone(t, a, storage, "--listen.https="+second, "--listen.http=")

	one, two := awaitCertificate(t, a.https), awaitCertificate(t, second)
	if one.SerialNumber.Cmp(two.SerialNumber) != 0 || a.issued() != 1 {
		t.Errorf("%d certificates were issued, %x and %x are in use", a.issued(), one.SerialNumber, two.SerialNumber)
	}
}

func TestAuthorityDown(t *testing.T) {
	t.Parallel()
	a, storage := startAuthority(t), t.TempDir()
	startStandalone(t, a, storage)
	before := awaitCertificate(t, a.https)

	if err := a.process.Kill(); err != nil {
		t.Fatal(err)
	}
	down := *a
	down.https, down.http = freeAddress(t), freeAddress(t)
	log := startStandalone(t, &down, storage, "--domains=new.example.com")
	await(t, "the log to tell why, and when it tries again", func() bool {
		return strings.Contains(log.String(), "connection refused") && strings.Contains(log.String(), "retry")
	})
	if status := plainStatus(t, down.http); status != http.StatusPermanentRedirect {
		t.Errorf("plain HTTP is answered with %d", status)
	}
	if stored := certificate(down.https, domain); stored == nil || stored.SerialNumber.Cmp(before.SerialNumber) != 0 {
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

func TestAuthorityRefuses(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	log := startStandalone(t, a, t.TempDir(), "--domains="+refused)
	awaitCertificate(t, a.https)
	await(t, "the log to tell why, and when it tries again", func() bool {
		return strings.Contains(log.String(), "rejectedIdentifier") && strings.Contains(log.String(), "retry")
	})
}
