package standalone

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// TestRestartUnderSystemdRefusesNobody does systemd's part: it holds the socket, starts the proxy with it, and reads the proxy's
// notifications. A client that connects while no proxy runs is served by the next one.
func TestRestartUnderSystemdRefusesNobody(t *testing.T) {
	t.Parallel()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, immich := harness.ServeImmich(t)

	first := startUnit(t, listener, immich)
	first.wantNotification(t, "READY=1")
	if err := first.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	first.wantNotification(t, "STOPPING=1")
	if err := first.process.Wait(); err != nil {
		t.Fatal(err)
	}

	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	second := startUnit(t, listener, immich)
	second.wantNotification(t, "READY=1")
	client := &http.Client{Transport: &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return tls.Client(conn, harness.AnyCertificate()), nil
	}}}
	response, err := client.Get("https://localhost/api/server/ping")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Error(response.Status)
	}
}

// unit is the proxy as a service.
type unit struct {
	process       *harness.Process
	notifications *net.UnixConn
}

func startUnit(t *testing.T, listener *net.TCPListener, immich string) unit {
	t.Helper()
	socket, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	path := filepath.Join(t.TempDir(), "notify")
	notifications, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notifications.Close() })
	process := harness.Program{
		Path:      harness.Binary(t),
		Arguments: []string{"--upstreams=" + immich, "--access.requireKey=false", "--listen.http=", "--http3=false"},
		Environ:   []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=https", "NOTIFY_SOCKET=" + path},
		Through:   []string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, // the process ID is known only in the process
		Files:     []*os.File{socket},
	}.Start(t)
	return unit{process, notifications}
}

// wantNotification waits for the next notification.
func (u unit) wantNotification(t *testing.T, want string) {
	t.Helper()
	if err := u.notifications.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	received := make([]byte, 256)
	n, err := u.notifications.Read(received)
	if err != nil || string(received[:n]) != want {
		t.Fatalf("%q, %v; want %s", received[:n], err, want)
	}
}
