package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Key is in force in every proxy that is started here, under the name "phone".
const Key = "correct-horse-battery-staple"

// ProxyOptions are what may be special about a standalone proxy.
type ProxyOptions struct {
	Variant   Variant    // Release if not set
	Arguments []string   // beside those that every proxy gets; the later win
	Access    string     // more lines of the configuration file's access, each indented by two spaces
	Through   []string   // a command that runs the proxy, such as prlimit
	Namespace *Namespace // where it runs; nil for the machine itself
	HTTPS     string     // its address; a free one if empty
	Unawaited bool       // it may take long until it has a certificate
}

// Proxy is a standalone proxy as a program, with Key.
type Proxy struct {
	*Process

	Address string // of HTTPS, HTTP/3 too
	Config  string // its file
	immich  *Immich
	admin   string
	options ProxyOptions
	program program
	clock   string
}

// StartProxy runs one in front of Immich until the test ends, and returns when it answers.
func StartProxy(t testing.TB, immich *Immich, options ProxyOptions) *Proxy {
	t.Helper()
	if options.Variant.name == "" {
		options.Variant = Release
	}
	path, err := options.Variant.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	p := &Proxy{
		Address: options.HTTPS, Config: filepath.Join(folder, "immichaccess.yml"), immich: immich, options: options, clock: filepath.Join(folder, "clock"),
	}
	p.admin = FreeAddress(t)
	if options.Namespace != nil {
		p.Address, p.admin = options.Namespace.Address+":443", "127.0.0.1:9090"
	} else if p.Address == "" {
		p.Address = FreeAddress(t)
	}
	p.WriteConfig(t, options.Access)
	p.SetClock(t, 0)
	p.program = program{
		path: path, through: options.Through, namespace: options.Namespace, environ: []string{jumpFile + "=" + p.clock},
		arguments: append([]string{
			"--configFile=" + p.Config, "--upstreams=" + immich.URL(), "--listen.https=" + p.Address, "--listen.http=", "--admin.address=" + p.admin, "--log.access=true",
		}, options.Arguments...),
	}
	p.Start(t)
	return p
}

// Start runs the proxy, again after it has ended.
func (p *Proxy) Start(t testing.TB) {
	t.Helper()
	p.Process = p.program.run(t)
	p.program.log = p.Log
	if !p.options.Unawaited {
		p.AwaitReady(t)
	}
}

// AwaitReady waits until the proxy takes requests and Immich answers it.
func (p *Proxy) AwaitReady(t testing.TB) {
	t.Helper()
	if !Eventually(func() bool { status, _ := p.askAdmin("/readyz"); return status == http.StatusOK || !p.Running() }) || !p.Running() {
		t.Fatalf("the proxy does not get ready:\n%s", tail(p.Log.String()))
	}
}

// SetClock has a Jumping proxy believe that so much time has passed beside the real one. It is in force within 100 ms.
func (p *Proxy) SetClock(t testing.TB, offset time.Duration) {
	t.Helper()
	replaceFile(t, p.clock, strconv.Itoa(int(offset.Seconds())))
}

// WriteConfig puts a configuration in the place of the file, with Key and the lines of access.
func (p *Proxy) WriteConfig(t testing.TB, access string) {
	t.Helper()
	if access == "" {
		access = "  keys: [phone:" + Key + "]\n"
	}
	replaceFile(t, p.Config, "access:\n"+access)
}

// replaceFile never lets anybody read half of a file.
func replaceFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// Hang has the proxy do nothing until Continue.
func (p *Proxy) Hang(t testing.TB) { p.Signal(t, syscall.SIGSTOP) }

// Continue ends Hang.
func (p *Proxy) Continue(t testing.TB) { p.Signal(t, syscall.SIGCONT) }

// askAdmin returns what the admin listener answers, 0 for nothing.
func (p *Proxy) askAdmin(path string) (status int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DialContext: p.options.Namespace.dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(content)
}

// Metric returns the value of a metric, with its labels if it has any.
func (p *Proxy) Metric(name string) (float64, error) {
	status, body := p.askAdmin("/metrics")
	if status != http.StatusOK {
		return 0, fmt.Errorf("metrics: %d %s", status, body)
	}
	for line := range strings.Lines(body) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// Footprint is what the proxy occupies now.
func (p *Proxy) Footprint(t testing.TB) Footprint {
	t.Helper()
	f, err := p.footprint(p.immich.Address)
	if err != nil {
		t.Fatal(err)
	}
	goroutines, err := p.Metric("go_goroutines")
	if err != nil {
		t.Fatal(err)
	}
	f.Goroutines = int(goroutines)
	return f
}

// Counted are the transfers and WebSockets that run, as the proxy counts them.
func (p *Proxy) Counted(t testing.TB) (transfers, sockets int) {
	t.Helper()
	running, err := p.Metric("immichaccess_transfers_running")
	if err != nil {
		t.Fatal(err)
	}
	open, err := p.Metric("immichaccess_websockets_open")
	if err != nil {
		t.Fatal(err)
	}
	return int(running), int(open)
}

// Client returns a client of the proxy, on the machine itself or from a namespace.
func (p *Proxy) Client(t testing.TB, protocol string, from *Namespace) *Client {
	t.Helper()
	return NewClient(t, protocol, ClientOptions{Address: p.Address, Key: Key, Namespace: from})
}
