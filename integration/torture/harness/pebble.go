package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Domain is the one for which certificates are issued.
const Domain = "photos.example.com"

// Authority is Pebble, the test CA of Let's Encrypt's authors. It keeps nothing on disk, so that it is not killed to be down:
// the way to it is closed.
type Authority struct {
	*Relay

	process   *Process
	directory string // URL
	roots     string // PEM file, of who vouches for the directory
	validates string // the address that it asks for challenges
}

// StartAuthority runs one that issues certificates of a lifetime, until the test ends.
func StartAuthority(t testing.TB, lifetime time.Duration) *Authority {
	t.Helper()
	if err := buildPebble(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := FreeAddress(t)
	program{path: filepath.Join(programFolder(), "pebble-challtestsrv"), arguments: []string{
		"-dnsserver", names, "-management", FreeAddress(t), "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "",
	}}.run(t)
	folder := t.TempDir()
	address, unused := FreeAddress(t), FreeAddress(t)
	relay := StartRelay(t, address)
	a := &Authority{Relay: relay, directory: "https://" + relay.Address + "/dir", roots: filepath.Join(folder, "roots.pem"), validates: FreeAddress(t)}
	key := filepath.Join(folder, "key.pem")
	if err := WriteCertificate(a.roots, key, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": address, "managementListenAddress": FreeAddress(t), "certificate": a.roots, "privateKey": key,
		"httpPort": port(t, unused), "tlsPort": port(t, a.validates), "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "", "validityPeriod": int(lifetime.Seconds())}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pebble.json")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	a.process = program{
		path: filepath.Join(programFolder(), "pebble"), environ: []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"},
		arguments: []string{"-config", file, "-dnsserver", names},
	}.run(t)
	a.process.Log.Await(t, 0, "ACME directory available")
	return a
}

// Hang has the CA do nothing, until Continue.
func (a *Authority) Hang(t testing.TB) { a.process.Signal(t, syscall.SIGSTOP) }

// Continue ends Hang.
func (a *Authority) Continue(t testing.TB) { a.process.Signal(t, syscall.SIGCONT) }

// Options are for a proxy that has its certificates from the CA and keeps them in the folder.
func (a *Authority) Options(storage string) ProxyOptions {
	return ProxyOptions{Variant: Hurried, HTTPS: a.validates, Arguments: []string{
		"--domains=" + Domain, "--acme.server=" + a.directory, "--acme.trustedRoots=" + a.roots, "--acme.storage=" + storage,
	}}
}

func port(t testing.TB, address string) int {
	t.Helper()
	_, text, found := strings.Cut(address, ":")
	number, err := strconv.Atoi(text)
	if !found || err != nil {
		t.Fatalf("%q is no address", address)
	}
	return number
}

// WriteCertificate makes a self-signed certificate for loopback that ends at a time.
func WriteCertificate(certFile, keyFile string, until time.Time) error {
	return WriteCertificateFor([]string{"localhost"}, certFile, keyFile, until)
}

// WriteCertificateFor makes one for some names, and for 127.0.0.1.
func WriteCertificateFor(names []string, certFile, keyFile string, until time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
	)
}

// Certificate returns what the proxy shows to a new client that asks for the name, nil for none.
func Certificate(address, name string) *x509.Certificate {
	dialer := &net.Dialer{Timeout: time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}
