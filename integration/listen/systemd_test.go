package listen_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// underSystemd starts the proxy with a socket that was opened for it.
func underSystemd(t *testing.T, name string, options ...string) (command *exec.Cmd, log *harness.Log, address string) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	_ = listener.Close()
	upstream := httptest.NewServer(fakeimmich.New())
	t.Cleanup(upstream.Close)
	log = &harness.Log{}
	// The process ID is known only in the process, hence the shell.
	command = exec.CommandContext(t.Context(), "sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh", harness.Binary(t), "--upstreams=" + upstream.URL,
		"--access.keys=phone:" + key, "--acme.storage=" + t.TempDir()}, options...)...)
	command.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+name)
	command.ExtraFiles = []*os.File{socket}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	return command, log, listener.Addr().String()
}

func TestSocketsFromSystemd(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		// The address in the options is not used: no process could listen there.
		_, _, address := underSystemd(t, "plain", "--listen.https=", "--listen.plain=192.0.2.1:8080", "--access.trustedProxies=loopback")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/nothing", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Access-Key", key)
		if response, body := send(t, &http.Client{Timeout: harness.Patience}, request); response.StatusCode != http.StatusOK {
			t.Errorf("%s\n%s", response.Status, body)
		}
	})
	t.Run("keyless, which is not configured", func(t *testing.T) {
		t.Parallel()
		command, log, _ := underSystemd(t, "keyless", "--listen.https="+harness.FreeAddress(t), "--listen.http=")
		if err := command.Wait(); err == nil || !strings.Contains(log.String(), "listen.keyless: systemd holds a socket for it, but the option is empty") {
			t.Errorf("%v\n%s", err, log)
		}
	})
	t.Run("another name", func(t *testing.T) {
		t.Parallel()
		command, log, _ := underSystemd(t, "plan", "--listen.https="+harness.FreeAddress(t), "--listen.http=")
		if err := command.Wait(); err == nil || !strings.Contains(log.String(), "plain, keyless, keyless-quic or admin") {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

// TestHealthcheckWithoutHTTPS checks a proxy that has only listen.plain.
func TestHealthcheckWithoutHTTPS(t *testing.T) {
	t.Parallel()
	plain := harness.FreeAddress(t)
	s := newSite(t)
	s.run(t, plainExample, plain, "--listen.plain="+plain)
	options := []string{"--configFile=" + plainExample, "--listen.plain=" + plain}
	for _, name := range []string{"healthcheck", "check"} {
		if output, err := exec.CommandContext(t.Context(), harness.Binary(t), append([]string{name}, options...)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
	}
	_ = s.proxy.Kill()
	harness.Await(t, "the proxy to end", s.proxy.Ended)
	if output, err := exec.CommandContext(t.Context(), harness.Binary(t), append([]string{"healthcheck"}, options...)...).CombinedOutput(); err == nil {
		t.Errorf("no proxy runs, and healthcheck succeeds\n%s", output)
	}
}

// TestGatewayOfAContainer sets up a network as Docker does, in which requests come from the gateway. It needs root.
func TestGatewayOfAContainer(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("it needs root")
		}
		t.Skip("it needs root")
	}
	run := func(name string, args ...string) {
		t.Helper()
		if output, err := exec.CommandContext(t.Context(), harness.Tool(t, name), args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, output)
		}
	}
	const gateway, address = "169.254.77.1", "169.254.77.2"
	link := fmt.Sprintf("ia%d", os.Getpid()) // in case this test runs more than once
	namespace := "immichaccess-" + link
	run("ip", "netns", "add", namespace)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", namespace).Run() })
	run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
	run("ip", "address", "add", gateway+"/24", "dev", link)
	run("ip", "link", "set", link, "up")
	run("ip", "-n", namespace, "address", "add", address+"/24", "dev", "eth0")
	run("ip", "-n", namespace, "link", "set", "eth0", "up")
	run("ip", "-n", namespace, "link", "set", "lo", "up")
	run("ip", "-n", namespace, "route", "add", "default", "via", gateway)

	proxy := harness.Start(t, harness.Tool(t, "ip"), "netns", "exec", namespace, "env", "container=oci", harness.Binary(t),
		"--listen.https=", "--listen.plain="+address+":8080", "--access.trustedProxies=127.0.0.1", "--access.requireKey=false", "--acme.storage="+t.TempDir())
	harness.Await(t, "the proxy to listen", func() bool { return strings.Contains(proxy.Log.String(), "msg=listening") })
	for range 3 {
		response, err := http.Get("http://" + address + ":8080/")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	if said := proxy.Log.String(); strings.Count(said, "requests come from the container's own gateway") != 1 || !strings.Contains(said, "client="+gateway) {
		t.Errorf("the log says\n%s", said)
	}
}
