// Package doctor_test runs the doctor with real proxies in front of a fake Immich, each with a correct configuration, and with
// one mistake.
package doctor_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/doctor"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	accessKey = "correct-horse-battery-staple"
	// proxySource is the address from which proxies that can choose it connect to Immich, so that it differs from that of their clients.
	proxySource = "127.0.0.9"
	// The time limit of a proxy, and the duration of the upload that exceeds it.
	cutAfter = "6s"
	slowFor  = 12 * time.Second
)

// site is what is filled in in a configuration.
type site struct {
	Dir       string
	Addr      string // of HTTPS, on 127.0.0.1
	Port      string
	HTTPAddr  string // of plain HTTP
	Upstream  string // host and port
	Elsewhere string // host and port of a server that is not Immich
	CertFile  string
	KeyFile   string
	PEMFile   string // both
	Dead      string // an address where nothing listens

	immich *fakeimmich.Server
	log    *logPipe
	roots  *x509.CertPool
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Dir: t.TempDir(), Addr: harness.FreeAddress(t), HTTPAddr: harness.FreeAddress(t), Dead: harness.FreeAddress(t), log: newLogPipe()}
	_, s.Port, _ = net.SplitHostPort(s.Addr)
	s.immich = fakeimmich.NewWithLogin(s.log)
	s.Upstream = strings.TrimPrefix(harness.Serve(t, s.immich.HTTPServer()), "http://")
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	s.Elsewhere = other.Listener.Addr().String()
	good := authority(t)
	s.roots = good.roots()
	s.install(t, good.issue(t, usual()))
	return s
}

// install writes the certificate to the files that configurations name.
func (s *site) install(t *testing.T, chain pemChain) {
	t.Helper()
	for file, text := range map[*string][]byte{&s.CertFile: chain.certificates, &s.KeyFile: chain.key, &s.PEMFile: slices.Concat(chain.certificates, chain.key)} {
		if *file == "" {
			*file = filepath.Join(s.Dir, []string{"cert.pem", "key.pem", "both.pem"}[len(glob(t, s.Dir, "*.pem"))])
		}
		harness.WriteFile(t, *file, string(text))
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// fill puts the site into a configuration.
func (s *site) fill(text string) string {
	return strings.NewReplacer(
		"$DIR", s.Dir, "$ADDR", s.Addr, "$PORT", s.Port, "$HTTP", s.HTTPAddr, "$UPSTREAM", s.Upstream, "$ELSEWHERE", s.Elsewhere,
		"$CERT", s.CertFile, "$PEM", s.PEMFile, "$TLSKEY", s.KeyFile, "$KEY", accessKey, "$SOURCE", proxySource, "$DEAD", s.Dead, "$CUT", cutAfter,
	).Replace(text)
}

// examine runs the doctor with all its options set.
func (s *site) examine(t *testing.T, change func(*doctor.Options)) *doctor.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*harness.Patience)
	defer cancel()
	options := doctor.Options{
		URL:       "https://" + s.Addr,
		Key:       accessKey,
		HTTPURL:   "http://" + s.HTTPAddr,
		Link:      "https://" + s.Addr + fakeimmich.SharedLink,
		ImmichLog: s.log,
		Roots:     s.roots,
		SlowFor:   slowFor,
	}
	if change != nil {
		change(&options)
	}
	report, err := doctor.Run(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	if t.Failed() || testing.Verbose() {
		t.Log(table(t, report))
	}
	return report
}

func table(t *testing.T, report *doctor.Report) string {
	t.Helper()
	var text strings.Builder
	if err := report.WriteTable(&text, doctor.Style{Width: 100}); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// runProxy runs a program until the test ends, and returns when it listens on the site's addresses.
func (s *site) runProxy(t *testing.T, program harness.Program) {
	t.Helper()
	program.StopSignal = syscall.SIGTERM // nginx ends its workers
	program.Start(t).AwaitListening(t, s.Addr, s.HTTPAddr)
}

// logPipe is Immich's log while it is written: writing never waits for a reader.
type logPipe struct {
	lines chan []byte
	rest  []byte
}

func newLogPipe() *logPipe {
	return &logPipe{lines: make(chan []byte, 100)}
}

func (p *logPipe) Write(line []byte) (int, error) {
	p.lines <- bytes.Clone(line)
	return len(line), nil
}

func (p *logPipe) Read(buffer []byte) (int, error) {
	if len(p.rest) == 0 {
		line, ok := <-p.lines
		if !ok {
			return 0, io.EOF
		}
		p.rest = line
	}
	n := copy(buffer, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
