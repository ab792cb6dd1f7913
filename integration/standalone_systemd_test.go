package integration

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestRestartUnderSystemdRefusesNobody does systemd's part: it holds the socket, starts the proxy with it, and listens to
// what the proxy says of itself. A client that comes while no proxy runs is served by the next one.
func TestRestartUnderSystemdRefusesNobody(t *testing.T) {
	t.Parallel()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, immich := serveImmich(t)

	first := startUnit(t, listener, immich)
	first.say(t, "READY=1")
	if err := first.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	first.say(t, "STOPPING=1")
	if state, err := first.process.Wait(); err != nil || !state.Success() {
		t.Fatalf("%v, %v", state, err)
	}

	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	second := startUnit(t, listener, immich)
	second.say(t, "READY=1")
	client := &http.Client{Transport: &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return tls.Client(conn, anyCertificate()), nil
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
	process *os.Process
	notices *net.UnixConn
}

func startUnit(t *testing.T, listener *net.TCPListener, immich string) unit {
	t.Helper()
	directory, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	socket, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	path := filepath.Join(t.TempDir(), "notify")
	notices, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	// The number of the process is known only in the process, hence the shell.
	command := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", filepath.Join(directory, "immichaccess"),
		"--upstreams="+immich, "--access.requireKey=false", "--listen.http=", "--http3=false")
	command.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=https", "NOTIFY_SOCKET="+path)
	command.ExtraFiles = []*os.File{socket}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_, _ = command.Process.Wait()
		_ = notices.Close()
	})
	return unit{command.Process, notices}
}

// say waits for the next thing the proxy says.
func (u unit) say(t *testing.T, want string) {
	t.Helper()
	if err := u.notices.SetReadDeadline(time.Now().Add(acmePatience)); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 256)
	n, err := u.notices.Read(heard)
	if err != nil || string(heard[:n]) != want {
		t.Fatalf("%q, %v; want %s", heard[:n], err, want)
	}
}
