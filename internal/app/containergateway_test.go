package app

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/testlog"
)

const routes = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010011AC	0003	0	0	0	00000000	0	0	0
eth0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
`

// container creates the files by which a container is recognized, and its routes.
func container(t *testing.T, marker string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"run", "proc/net"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for file, content := range map[string]string{marker: "", "proc/net/route": routes} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestClientsBehindDockersGateway wants the warning once, and only if all clients have the gateway's address.
func TestClientsBehindDockersGateway(t *testing.T) {
	t.Parallel()
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for name, c := range map[string]struct {
		marker, client, host string
		want                 int
	}{
		"Docker":                        {".dockerenv", "172.17.0.1", "photos.example.com", 1},
		"Podman":                        {"run/.containerenv", "172.17.0.1", "photos.example.com:443", 1},
		"another client":                {".dockerenv", "203.0.113.7", "photos.example.com", 0},
		"the host itself":               {".dockerenv", "172.17.0.1", "localhost:8443", 0},
		"the host itself, by address":   {".dockerenv", "172.17.0.1", "[::1]:8443", 0},
		"no container, a home's router": {"other", "172.17.0.1", "photos.example.com", 0},
	} {
		log := &testlog.Log{}
		handler := warnOfContainerGateway(container(t, c.marker), testLogger(log), ok)
		for range 3 {
			handler.ServeHTTP(nil, &http.Request{Host: c.host, Header: http.Header{"X-Real-Ip": {c.client}}})
		}
		if got := strings.Count(log.String(), "userland-proxy"); got != c.want {
			t.Errorf("%s: it is logged %d times: %s", name, got, log)
		}
	}
}

func TestDefaultGateway(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]string{
		routes: "172.17.0.1",
		"":     "invalid IP",
		strings.Replace(routes, "010011AC", "00000000", 1):   "invalid IP", // a tunnel has none
		strings.Replace(routes, "010011AC", "not hex", 1):    "invalid IP",
		strings.Replace(routes, "010011AC", "010011AC01", 1): "invalid IP",
		strings.SplitAfter(routes, "\n")[0]:                  "invalid IP",
	} {
		if got := defaultGateway(table).String(); got != want {
			t.Errorf("%q: %s, want %s", table, got, want)
		}
	}
}

func testLogger(log io.Writer) *slog.Logger { return logging.New(log, "text", new(slog.LevelVar)) }
