// Package clientcerts_test tests client certificates and HTTP Basic with common programs: curl, openssl, rclone and Chromium,
// against the standalone proxy and Traefik.
package clientcerts_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	accessKey = "example-phone-key-change-me"
	keyEntry  = "phone:sha256:dbb66a212f682229ee620be615b0688d7e6e65cdccb6b6cc9c5cbe9292dfd984"
	siteHost  = "photos.example.com"
	pong      = `{"res":"pong"}`
)

// site is a gateway on loopback that clients reach by its name.
type site struct {
	dir    string // where the tests' commands run
	addr   string
	immich *fakeimmich.Server
	url    string // of Immich
	cert   string // files of the gateway's certificate, which clients trust
	key    string
	log    *harness.Log
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), addr: harness.FreeAddress(t), immich: fakeimmich.New()}
	server := httptest.NewUnstartedServer(s.immich)
	server.Config = s.immich.HTTPServer()
	server.Start()
	t.Cleanup(server.Close)
	s.url = server.URL
	s.cert, s.key = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	harness.WriteCertificate(t, s.cert, s.key, siteHost)
	return s
}

// serve runs the standalone proxy until the test ends.
func (s *site) serve(t *testing.T, arguments ...string) {
	t.Helper()
	arguments = append(arguments, "--upstreams="+s.url, "--listen.https="+s.addr, "--listen.http=", "--tls.certFile="+s.cert, "--tls.keyFile="+s.key,
		"--log.access", "--log.level=debug")
	process := harness.Start(t, "/bin/sh", append([]string{"-c", `cd "$0" && exec "$@"`, s.dir, harness.Binary(t)}, arguments...)...)
	s.log = process.Log
	harness.Await(t, "the proxy to listen", func() bool {
		if process.Ended() {
			t.Fatal("the proxy has ended")
		}
		conn, err := net.Dial("tcp", s.addr)
		return err == nil && conn.Close() == nil
	})
}

// curl returns its output, and the reason if it fails.
func (s *site) curl(t *testing.T, arguments ...string) (output string, err error) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	common := []string{"--silent", "--show-error", "--max-time", "60", "--cacert", s.cert, "--connect-to", siteHost + ":443:127.0.0.1:" + port}
	return s.run(t, "curl", append(common, arguments...)...)
}

func (s *site) run(t *testing.T, program string, arguments ...string) (output string, err error) {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Dir = s.dir
	text, err := command.CombinedOutput()
	return string(text), err
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issued is what immichaccess cert has made.
type issued struct {
	output, password, serial string
	p12, pem, ca             string // files
}

func (s *site) issue(t *testing.T, name string) *issued {
	t.Helper()
	output, err := s.run(t, harness.Binary(t), "cert", name, "--dir=certificates")
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return s.read(t, name, output)
}

// read parses the output of the command.
func (s *site) read(t *testing.T, name, output string) *issued {
	t.Helper()
	i := &issued{output: output, ca: filepath.Join(s.dir, "certificates", "client-ca.pem")}
	i.p12 = filepath.Join(s.dir, "certificates", "client-certificates", name+".p12")
	i.pem = filepath.Join(s.dir, "certificates", "client-certificates", name+".pem")
	i.password, i.serial = after(output, "\n    password "), after(output, "\n    serial number ")
	if i.password == "" || i.serial == "" || !strings.Contains(output, i.p12) || !strings.Contains(output, i.pem) {
		t.Fatal(output)
	}
	return i
}

func after(text, label string) string {
	_, rest, _ := strings.Cut(text, label)
	if fields := strings.Fields(rest); len(fields) > 0 {
		return fields[0]
	}
	return ""
}

func statusOf(format string, arguments ...any) []string {
	return append([]string{"--output", os.DevNull, "--write-out", "%{http_code} %{http_version}"}, fmt.Sprintf(format, arguments...))
}

// trusting is the TLS configuration of a client that trusts the site.
func (s *site) trusting(t *testing.T) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	text, err := os.ReadFile(s.cert)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("%s: %v", s.cert, err)
	}
	return &tls.Config{RootCAs: roots, ServerName: siteHost}
}
