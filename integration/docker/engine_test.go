//go:build slow && linux

package docker

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sys/unix"
)

// composeTool is Docker Compose as users have it; Debian's is from 2021.
const composeTool = "github.com/docker/compose/v5/cmd@v5.0.2"

// engine is a Docker engine in its own namespaces: its bridges and rules, the ports it publishes and its containers can't be
// seen from outside, and end with it. There is no registry, so the test builds the images.
type engine struct {
	directory string
	process   *os.Process // whose namespaces they are
}

// startEngine needs root, and on Debian the packages docker.io and busybox-static.
func startEngine(t *testing.T) *engine {
	t.Helper()
	directory, err := os.MkdirTemp("", "engine-") // its name has to be short enough for a socket's
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{directory: directory}
	log := &harness.Log{}
	command := exec.CommandContext(context.Background(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-euc", `mount -t tmpfs tmpfs /run; busybox ip link set lo up; exec dockerd "$@"`, "dockerd",
		"--host="+e.socket(), "--host=unix:///run/docker.sock", "--data-root="+filepath.Join(directory, "data"),
		"--exec-root="+filepath.Join(directory, "exec"), "--pidfile="+filepath.Join(directory, "pid"))
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	e.process = command.Process
	t.Cleanup(func() {
		_ = e.command(context.Background(), "sh", "-c", "docker ps -aq | xargs -r docker rm -fv").Run()
		_ = command.Process.Kill()
		_ = command.Wait()
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the engine's log:\n%s", harness.Tail(log.String()))
		}
	})
	harness.Await(t, "the Docker engine", func() bool { return e.command(t.Context(), "docker", "info").Run() == nil })
	return e
}

func (e *engine) socket() string {
	return "unix://" + filepath.Join(e.directory, "docker.sock")
}

// command returns a command that uses this engine, without the user's own settings.
func (e *engine) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, arguments...)
	// BuildKit's client is a plugin that Debian does not have.
	command.Env = append(os.Environ(), "DOCKER_HOST="+e.socket(), "DOCKER_CONFIG="+e.directory, "DOCKER_BUILDKIT=0")
	return command
}

// docker returns what the command prints.
func (e *engine) docker(t *testing.T, arguments ...string) string {
	t.Helper()
	return output(t, e.command(t.Context(), "docker", arguments...))
}

func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var errors bytes.Buffer
	command.Stderr = &errors
	text, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, text, harness.Tail(errors.String()))
	}
	return strings.TrimSpace(string(text))
}

// installCompose adds the command "docker compose".
func (e *engine) installCompose(t *testing.T) {
	t.Helper()
	directory := filepath.Join(harness.ModuleDir(), "build", "compose")
	install := exec.CommandContext(t.Context(), "go", "install", composeTool)
	install.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+directory)
	output(t, install)
	plugins := filepath.Join(e.directory, "cli-plugins")
	if err := os.Mkdir(plugins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(directory, "cmd"), filepath.Join(plugins, "docker-compose")); err != nil {
		t.Fatal(err)
	}
}

// logs returns the log of a container.
func (e *engine) logs(t *testing.T, container string) string {
	t.Helper()
	text, err := e.command(t.Context(), "docker", "logs", container).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return string(text)
}

func (e *engine) inspect(t *testing.T, container, format string) string {
	t.Helper()
	return e.docker(t, "inspect", "--format", format, container)
}

// processStatus returns what /proc says about the first process of a container.
func (e *engine) processStatus(t *testing.T, container string) string {
	t.Helper()
	pid := e.inspect(t, container, "{{.State.Pid}}") // in the engine's namespace, whose /proc this is
	return harness.ReadFile(t, fmt.Sprintf("/proc/%d/root/proc/%s/status", e.process.Pid, pid))
}

// inside calls a function in the engine's network namespace.
func (e *engine) inside(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends here and nothing else runs in the namespace
		network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", e.process.Pid))
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = network.Close() }()
		if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

func (e *engine) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	return conn, e.inside(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
}

func (e *engine) dialTLS(ctx context.Context, address string) (*tls.Conn, error) {
	conn, err := e.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, tlsConfig())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// clients are for one protocol each, and connect within the engine's network.
func (e *engine) clients(t *testing.T) map[string]*http.Client {
	t.Helper()
	var udp net.PacketConn
	if err := e.inside(func() (err error) {
		udp, err = new(net.ListenConfig).ListenPacket(t.Context(), "udp4", ":0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	quicTransport := &quic.Transport{Conn: udp}
	three := &http3.Transport{
		TLSClientConfig: tlsConfig(),
		Dial: func(ctx context.Context, address string, config *tls.Config, settings *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp4", address)
			if err != nil {
				return nil, err
			}
			return quicTransport.DialEarly(ctx, to, config, settings)
		},
	}
	t.Cleanup(func() {
		_ = three.Close()
		_ = quicTransport.Close()
		_ = udp.Close()
	})
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{DialContext: e.dial, TLSClientConfig: tlsConfig(), DisableKeepAlives: true}, CheckRedirect: noRedirect},
		"HTTP/2.0": {Transport: &http.Transport{DialContext: e.dial, TLSClientConfig: tlsConfig(), ForceAttemptHTTP2: true}, CheckRedirect: noRedirect},
		"HTTP/3.0": {Transport: three, CheckRedirect: noRedirect},
	}
}

func noRedirect(*http.Request, []*http.Request) error {
	return http.ErrUseLastResponse
}

// tlsConfig accepts any certificate for the example's domain.
func tlsConfig() *tls.Config {
	config := harness.AnyCertificate()
	config.ServerName = harness.Domain
	return config
}

// image builds an image from a directory, and from files that have the same path in the image as on this machine.
func (e *engine) image(t *testing.T, name, directory string, changes []string, files ...string) {
	t.Helper()
	arguments := []string{"--create", "--owner=0", "--group=0", "--directory=" + directory, "."}
	for _, file := range files {
		arguments = append(arguments, "--directory=/", strings.TrimPrefix(file, "/"))
	}
	archive := exec.CommandContext(t.Context(), "tar", arguments...)
	archive.Stderr = os.Stderr
	pipe, err := archive.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	arguments = []string{"import"}
	for _, change := range changes {
		arguments = append(arguments, "--change="+change)
	}
	load := e.command(t.Context(), "docker", append(arguments, "-", name)...)
	load.Stdin = pipe
	if err := archive.Start(); err != nil {
		t.Fatal(err)
	}
	output(t, load)
	if err := archive.Wait(); err != nil {
		t.Fatal(err)
	}
}

// put copies a file, with its mode, to the path in a directory.
func put(t *testing.T, directory, path, source string) {
	t.Helper()
	content, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(source)
	if err != nil {
		t.Fatal(err)
	}
	write(t, directory, path, string(content))
	if err := os.Chmod(filepath.Join(directory, path), info.Mode()); err != nil {
		t.Fatal(err)
	}
}

// write creates a file that every user can read.
func write(t *testing.T, directory, path, content string) {
	t.Helper()
	file := filepath.Join(directory, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// goImage replaces the golang image: this machine's Go, a shell, and the certificates of CAs.
func (e *engine) goImage(t *testing.T, name string) {
	t.Helper()
	shell, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	root := output(t, exec.CommandContext(t.Context(), "go", "env", "GOROOT"))
	directory := t.TempDir()
	put(t, directory, "bin/sh", shell)
	put(t, directory, "bin/mkdir", shell)
	put(t, directory, "etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt")
	write(t, directory, "tmp/empty", "")
	e.image(t, name, directory, []string{"ENV PATH=" + root + "/bin:/bin GOTOOLCHAIN=local GOPATH=/go", "WORKDIR /go"}, root)
}

// programImage contains only one program.
func (e *engine) programImage(t *testing.T, name, program string) {
	t.Helper()
	directory := t.TempDir()
	put(t, directory, "program", program)
	e.image(t, name, directory, []string{`ENTRYPOINT ["/program"]`})
}
