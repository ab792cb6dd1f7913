package dns

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// ca is a running Pebble.
type ca struct {
	*harness.Process

	directory string // URL
	roots     string // PEM file, for the directory
}

// startCA runs a CA that validates over ports 443 and 80; what is given goes into its settings.
func startCA(t *testing.T, more map[string]any) *ca {
	t.Helper()
	folder, address := t.TempDir(), harness.FreeAddress(t)
	roots, key := filepath.Join(folder, "roots.pem"), filepath.Join(folder, "key.pem")
	harness.WriteCertificate(t, roots, key)
	settings := map[string]any{
		"listenAddress": address, "managementListenAddress": harness.FreeAddress(t), "certificate": roots, "privateKey": key,
		"httpPort": 80, "tlsPort": 443, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "", "validityPeriod": 90 * 24 * 3600}},
	}
	maps.Copy(settings, more)
	content, err := json.Marshal(map[string]any{"pebble": settings})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pebble.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &ca{directory: "https://" + address + "/dir", roots: roots}
	c.Process = harness.Program{
		Path: harness.BuildPebble(t), Arguments: []string{"-config", file, "-dnsserver", primary + ":53"}, Environ: []string{"PEBBLE_VA_NOSLEEP=1"},
	}.Start(t)
	harness.Await(t, "Pebble", func() bool { return strings.Contains(c.Log.String(), "ACME directory available") })
	return c
}

// proxy is the running standalone proxy.
type proxy struct {
	*harness.Process

	address string
}

// startProxy runs the proxy on a port that the CA does not know.
func (c *ca) startProxy(t *testing.T, environ []string, arguments ...string) *proxy {
	t.Helper()
	return c.startProgram(t, harness.Binary(t), environ, arguments...)
}

func (c *ca) startProgram(t *testing.T, program string, environ []string, arguments ...string) *proxy {
	t.Helper()
	p := &proxy{address: harness.FreeAddress(t)}
	p.Process = harness.Program{Path: program, Environ: environ, Arguments: append([]string{
		"--upstreams=http://127.0.0.1:1", "--access.requireKey=false", "--listen.https=" + p.address, "--listen.http=",
		"--acme.server=" + c.directory, "--acme.trustedRoots=" + c.roots, "--acme.storage=" + t.TempDir(),
	}, arguments...)}.Start(t)
	return p
}

// awaitCertificate waits until the proxy shows one for a name.
func (p *proxy) awaitCertificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	var leaf *x509.Certificate
	harness.Await(t, "a certificate for "+name, func() bool { leaf = p.certificate(name); return leaf != nil })
	if err := leaf.VerifyHostname(name); err != nil {
		t.Fatal(err)
	}
	return leaf
}

// certificate returns the one that the proxy shows for a name, nil for none. No name is none in the handshake.
func (p *proxy) certificate(name string) *x509.Certificate {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", p.address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

// wantFailure waits for the line that tells why there is no certificate, and wants texts in it and a secret nowhere.
func (p *proxy) wantFailure(t *testing.T, secret string, texts ...string) {
	t.Helper()
	const begin = "there is no certificate yet"
	harness.Await(t, "a line in the log", func() bool { return strings.Contains(p.Log.String(), begin) })
	line := first(p.Log.String(), begin)
	t.Log(line)
	for _, text := range append(texts, "level=ERROR", "domain=", "check=", "retrying_in=1m0s") {
		if !strings.Contains(line, text) {
			t.Errorf("the line does not say %q", text)
		}
	}
	if secret != "" && strings.Contains(p.Log.String(), secret) {
		t.Error("the log has the secret")
	}
	aboutImmich := strings.Count(p.Log.String(), `level=WARN msg="Immich does not answer`) // nothing is there
	if warnings := strings.Count(p.Log.String(), "level=ERROR") + strings.Count(p.Log.String(), "level=WARN") - aboutImmich; warnings != 1 {
		t.Errorf("%d lines of warnings and errors", warnings)
	}
}

// status returns what the proxy answers to a request for a host.
func (p *proxy) status(t *testing.T, host string) int {
	t.Helper()
	conn, err := tls.Dial("tcp", p.address, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := conn.Read(head); err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(string(head[len("HTTP/1.1 "):]))
	if err != nil {
		t.Fatal(err)
	}
	return number
}
