package testbed

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// Key is accepted by every proxy that is started here, under the name "phone".
const Key = "correct-horse-battery-staple"

// ProxyOptions are how a standalone proxy differs from the default.
type ProxyOptions struct {
	Variant   *harness.Variant // harness.Release if nil
	Arguments []string         // in addition to those that every proxy gets; later ones take precedence
	Access    string           // more lines of the configuration file's access, each indented by two spaces
	Through   []string         // a command that runs the proxy, such as prlimit
	Namespace *Namespace       // where it runs; nil for the machine itself
	HTTPS     string           // its address; a free one if empty
	NotReady  bool             // do not wait until it is ready
}

// Proxy is a standalone proxy as a program, with Key.
type Proxy struct {
	*harness.Process

	Address string // of HTTPS, HTTP/3 too
	Config  string // its file
	immich  *Immich
	admin   string
	options ProxyOptions
	program harness.Program
	clock   string
}

// StartProxy runs one in front of Immich until the test ends, and returns when it is ready.
func StartProxy(t testing.TB, immich *Immich, options ProxyOptions) *Proxy {
	t.Helper()
	variant := options.Variant
	if variant == nil {
		variant = &harness.Release
	}
	folder := t.TempDir()
	p := &Proxy{
		Address: options.HTTPS, Config: filepath.Join(folder, "immichaccess.yml"), immich: immich, options: options, clock: filepath.Join(folder, "clock"),
	}
	p.admin = harness.FreeAddress(t)
	if options.Namespace != nil {
		p.Address, p.admin = options.Namespace.Address+":443", "127.0.0.1:9090"
	} else if p.Address == "" {
		p.Address = harness.FreeAddress(t)
	}
	p.WriteConfig(t, options.Access)
	p.SetClock(t, 0)
	p.program = harness.Program{
		Path: variant.Build(t), Through: options.Through, Enter: options.Namespace.do, Environ: []string{harness.ClockFile + "=" + p.clock},
		Arguments: append([]string{
			"--configFile=" + p.Config, "--upstreams=" + immich.URL(), "--listen.https=" + p.Address, "--listen.http=", "--admin.address=" + p.admin, "--log.access=true",
		}, options.Arguments...),
	}
	p.Start(t)
	return p
}

// Start runs the proxy, also after it has ended.
func (p *Proxy) Start(t testing.TB) {
	t.Helper()
	p.Process = p.program.Start(t)
	p.program.Log = p.Log
	if !p.options.NotReady {
		p.AwaitReady(t)
	}
}

// AwaitReady waits until the proxy accepts requests and Immich answers it.
func (p *Proxy) AwaitReady(t testing.TB) {
	t.Helper()
	if !harness.Eventually(func() bool { status, _ := p.getAdmin("/readyz"); return status == http.StatusOK || p.Ended() }) || p.Ended() {
		t.Fatalf("the proxy does not become ready:\n%s", harness.Tail(p.Log.String()))
	}
}

// SetClock sets the wall clock of a proxy with harness.AdjustableClock to that offset from the real time. It takes effect
// within 100 ms.
func (p *Proxy) SetClock(t testing.TB, offset time.Duration) {
	t.Helper()
	harness.ReplaceFile(t, p.clock, strconv.Itoa(int(offset.Seconds())))
}

// WriteConfig replaces the configuration file; without lines of access, it has Key.
func (p *Proxy) WriteConfig(t testing.TB, access string) {
	t.Helper()
	if access == "" {
		access = "  keys: [phone:" + Key + "]\n"
	}
	harness.ReplaceFile(t, p.Config, "access:\n"+access)
}

// Hang stops the proxy, until Continue.
func (p *Proxy) Hang(t testing.TB) { p.Send(t, syscall.SIGSTOP) }

// Continue ends Hang.
func (p *Proxy) Continue(t testing.TB) { p.Send(t, syscall.SIGCONT) }

// getAdmin returns the response of the admin listener, 0 if there is none.
func (p *Proxy) getAdmin(path string) (status int, body string) {
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
	status, body := p.getAdmin("/metrics")
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

// Footprint is what the proxy uses now.
func (p *Proxy) Footprint(t testing.TB) Footprint {
	t.Helper()
	f, err := footprintOf(p.Pid, p.immich.Address)
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

// Counted are the running transfers and WebSockets, as the proxy counts them.
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
