// Package doctor_test runs the doctor against real proxies in front of a fake Immich, each set up well and wrong in one way.
package doctor_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/doctor"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	accessKey = "correct-horse-battery-staple"
	patience  = time.Minute
	// proxySource is from where proxies that can choose reach Immich, so that they can be told from their clients.
	proxySource = "127.0.0.9"
	// A limit on time is so long, and the upload that finds it longer.
	cutAfter = "6s"
	slowFor  = 12 * time.Second
)

// site is what a configuration has to fill in.
type site struct {
	Dir       string
	Addr      string // where HTTPS is served, on 127.0.0.1
	Port      string
	HTTPAddr  string // where plain HTTP is
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
	s := &site{Dir: t.TempDir(), Addr: freeAddress(t), HTTPAddr: freeAddress(t), Dead: freeAddress(t), log: newLogPipe()}
	_, s.Port, _ = net.SplitHostPort(s.Addr)
	s.immich = fakeimmich.NewWithLogin(s.log)
	server := httptest.NewUnstartedServer(s.immich)
	server.Config = s.immich.HTTPServer()
	server.Start()
	t.Cleanup(server.Close)
	s.Upstream = server.Listener.Addr().String()
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
		write(t, *file, string(text))
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

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fill puts the site into a configuration.
func (s *site) fill(text string) string {
	return strings.NewReplacer(
		"$DIR", s.Dir, "$ADDR", s.Addr, "$PORT", s.Port, "$HTTP", s.HTTPAddr, "$UPSTREAM", s.Upstream, "$ELSEWHERE", s.Elsewhere,
		"$CERT", s.CertFile, "$PEM", s.PEMFile, "$TLSKEY", s.KeyFile, "$KEY", accessKey, "$SOURCE", proxySource, "$DEAD", s.Dead, "$CUT", cutAfter,
	).Replace(text)
}

// examine runs the doctor as somebody would who knows all that it takes.
func (s *site) examine(t *testing.T, change func(*doctor.Options)) *doctor.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
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

// faults are the IDs of what is wrong, notes excepted.
func faults(report *doctor.Report) []string {
	ids := []string{}
	for _, f := range report.Findings {
		if f.Level == doctor.Problem || f.Level == doctor.Warning {
			ids = append(ids, f.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// diagnose fails the test unless the doctor finds these faults and no other, and knows the proxy.
func diagnose(t *testing.T, report *doctor.Report, proxy doctor.Proxy, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := faults(report); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q\n%s", got, want, table(t, report))
	}
	if proxy != "" && !slices.Contains(report.Proxy, string(proxy)) {
		t.Errorf("took %s for %q\n%s", proxy, report.Proxy, table(t, report))
	}
	if report.Broken() != slices.ContainsFunc(report.Findings, func(f doctor.Finding) bool { return f.Level == doctor.Problem }) {
		t.Error("the verdict does not fit the findings")
	}
	for _, f := range report.Findings {
		if f.Title != "" && f.Level != doctor.Note && f.Fix == nil {
			t.Errorf("%s has no remedy", f.ID)
		}
	}
	if text := table(t, report); strings.Contains(text, accessKey) {
		t.Errorf("the key is in the report:\n%s", text)
	}
}

// fault is one way to spoil a good configuration.
type fault struct {
	name    string
	edits   []string // old, new, old, new …; each old has to be there
	options func(*doctor.Options)
	hidden  bool // the proxy leaves no trace
	want    []string
	note    string // is in the report as well
}

func (f fault) apply(t *testing.T, config string) string {
	t.Helper()
	for pair := range slices.Chunk(f.edits, 2) {
		if !strings.Contains(config, pair[0]) {
			t.Fatalf("the configuration has no %q to be replaced", pair[0])
		}
		config = strings.Replace(config, pair[0], pair[1], 1)
	}
	return config
}

// runFaults starts the proxy with each configuration, the good one too.
func runFaults(t *testing.T, proxy doctor.Proxy, good string, run func(t *testing.T, s *site, config string), all []fault) {
	t.Helper()
	all = append([]fault{
		{name: "good"},
		{name: "good and slow", options: slow},
	}, all...)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			run(t, s, s.fill(f.apply(t, good)))
			known := proxy
			if f.hidden {
				known = ""
			}
			report := s.examine(t, f.options)
			diagnose(t, report, known, f.want...)
			if f.note != "" && !slices.ContainsFunc(report.Findings, func(g doctor.Finding) bool { return g.ID == f.note && g.Level == doctor.Note }) {
				t.Errorf("%s was not noted\n%s", f.note, table(t, report))
			}
		})
	}
}

func slow(o *doctor.Options) { o.Slow = true }

// start runs a program until the test ends, and shows what it said if the test fails.
func start(t *testing.T, environ []string, addresses []string, name string, args ...string) {
	t.Helper()
	output := &lockedBuffer{}
	command := exec.CommandContext(context.Background(), name, args...)
	command.Env = append(os.Environ(), environ...)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = command.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, output)
		}
	})
	deadline := time.After(patience)
	for _, address := range addresses {
		for !isListening(address) {
			select {
			case err := <-ended:
				ended <- err
				t.Fatalf("%s has ended: %v\n%s", name, err, output)
			case <-deadline:
				t.Fatalf("%s does not listen on %s\n%s", name, address, output)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

func isListening(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// awaitRoutes returns when the proxy no longer answers as if it knew nothing: some listen before they have read where to lead to.
func awaitRoutes(t *testing.T, s *site) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.Addr+"/nothing", nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if string(body) != "404 page not found\n" {
				return
			}
		}
	}
	t.Fatal("the proxy never read its routes")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := traefik.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// requireTool finds a program. Where tests have to be complete, that it is missing is a failure.
func requireTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not installed", name)
	default:
		t.Skipf("%s is not installed", name)
	}
	return path
}

// builder compiles a program once.
type builder struct {
	dir, name, target string
	once              sync.Once
	path              string
	err               error
	output            []byte
}

func (b *builder) build(t *testing.T) string {
	t.Helper()
	b.once.Do(func() {
		if b.path, b.err = filepath.Abs(filepath.Join("..", "build", b.name)); b.err != nil {
			return
		}
		command := exec.CommandContext(context.Background(), "go", "build", "-o", b.path, b.target)
		command.Dir = b.dir
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		b.output, b.err = command.CombinedOutput()
	})
	if b.err != nil {
		t.Fatalf("building %s: %v\n%s", b.name, b.err, b.output)
	}
	return b.path
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	return text[max(0, len(text)-20_000):]
}

// logPipe is Immich's log, as it is followed: writing never waits for a reader.
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
