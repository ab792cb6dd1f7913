//go:build slow && linux

package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"go.yaml.in/yaml/v3"
)

// TestDocker runs the examples as a user does, in a Docker engine. They publish the same ports, so they run one after the
// other.
func TestDocker(t *testing.T) {
	e := startEngine(t)
	e.installCompose(t)
	makeImages(t, e)
	t.Run("Dockerfile", func(t *testing.T) { testDockerfile(t, e) })
	t.Run("standalone/compose.yml", func(t *testing.T) { testStandaloneCompose(t, e) })
	t.Run("standalone/immichaccess.service", func(t *testing.T) { testUnits(t, e) })
	t.Run("traefik/docker-compose.yml", func(t *testing.T) { testTraefikCompose(t, e) })
}

const (
	immichImage = "immich"
	pebbleImage = "pebble"
	acmeNetwork = "acme" // where Pebble is
)

// makeImages builds the images that a user would download.
func makeImages(t *testing.T, e *engine) {
	t.Helper()
	makeGoImage(t, e)
	e.programImage(t, pebbleImage, harness.BuildPebble(t))
	e.programImage(t, immichImage, buildImmich(t))
}

// makeGoImage makes the image that the Dockerfile builds with.
func makeGoImage(t *testing.T, e *engine) {
	t.Helper()
	base := regexp.MustCompile(`(?m)^FROM --platform=\S+ (golang:\S+)`).FindStringSubmatch(harness.ReadFile(t, harness.RepositoryDir()+"/Dockerfile"))
	if base == nil {
		t.Fatal("the Dockerfile builds with no image of Go's")
	}
	e.goImage(t, base[1])
}

func buildImmich(t *testing.T) string {
	t.Helper()
	return harness.MustGoBuild(t, "immich", harness.ModuleDir(), "./immich")
}

// startPebble runs a CA that validates at the standard ports of the container that has the domain as its name in the network.
func startPebble(t *testing.T, e *engine) (roots string) {
	t.Helper()
	folder := t.TempDir()
	harness.WriteCertificate(t, filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), "pebble")
	write(t, folder, "pebble.json", `{"pebble": {
		"listenAddress": ":14000", "certificate": "/pebble/cert.pem", "privateKey": "/pebble/key.pem",
		"httpPort": 80, "tlsPort": 443, "retryAfter": {"authz": 1, "order": 1},
		"profiles": {"default": {"description": "", "validityPeriod": 7776000}}}}`)
	e.docker(t, "network", "create", acmeNetwork)
	e.docker(t, "run", "--detach", "--name=pebble", "--network="+acmeNetwork, "--volume="+folder+":/pebble:ro", "--env=PEBBLE_VA_NOSLEEP=1",
		pebbleImage, "-config=/pebble/pebble.json", "-dnsserver=127.0.0.11:53")
	t.Cleanup(func() {
		for _, remove := range [][]string{{"rm", "--force", "pebble"}, {"network", "rm", acmeNetwork}} {
			_ = e.command(context.Background(), "docker", remove...).Run()
		}
	})
	write(t, folder, "roots.pem", harness.ReadFile(t, filepath.Join(folder, "cert.pem")))
	return filepath.Join(folder, "roots.pem")
}

const pebbleDirectory = "https://pebble:14000/dir"

// testDockerfile builds the image as the README says.
func testDockerfile(t *testing.T, e *engine) {
	build := regexp.MustCompile("`(docker build -t (\\S+) \\.)`").FindStringSubmatch(harness.ReadFile(t, harness.RepositoryDir()+"/README.md"))
	if build == nil {
		t.Fatal("the README does not say how to build the image")
	}
	command := e.command(t.Context(), "sh", "-c", build[1])
	command.Dir = harness.RepositoryDir()
	output(t, command)
	image := build[2]
	if size, err := strconv.Atoi(e.inspect(t, image, "{{.Size}}")); err != nil || size > 25_000_000 {
		t.Errorf("the image has %d bytes, %v", size, err)
	}
	if printed := e.docker(t, "run", "--rm", image, "version"); !strings.HasPrefix(printed, "immichaccess ") {
		t.Errorf("immichaccess version prints %q", printed)
	}
}

func testStandaloneCompose(t *testing.T, e *engine) {
	roots := startPebble(t, e)
	c := newComposition(t, e, harness.RepositoryDir()+"/examples/standalone/compose.yml", traefik.Settings{
		"services": traefik.Settings{
			"immich-server": traefik.Settings{"image": immichImage},
			"immichaccess": traefik.Settings{
				"environment": traefik.Settings{"IMMICHACCESS_ACME_SERVER": pebbleDirectory, "IMMICHACCESS_ACME_TRUSTEDROOTS": "/roots.pem"},
				"volumes":     []string{roots + ":/roots.pem:ro"},
				"networks":    traefik.Settings{"default": traefik.Settings{"aliases": []string{harness.Domain}}},
			},
		},
		"networks": traefik.Settings{"default": traefik.Settings{"name": acmeNetwork, "external": true}},
	})
	if printed := c.compose(t, "run", "--rm", "--no-TTY", "immichaccess", "key", "phone"); !strings.Contains(printed, "phone:sha256:") {
		t.Errorf("no key is printed: %s", printed)
	}
	c.compose(t, "up", "--detach", "--wait") // until it is healthy, as Docker sees it
	container := c.compose(t, "ps", "--quiet", "immichaccess")
	if health := e.inspect(t, container, "{{.State.Health.Status}}"); health != "healthy" {
		t.Errorf("it is %s", health)
	}
	if status := e.processStatus(t, container); strings.Contains(status, "\nUid:\t0\t") || !strings.Contains(status, "\nCapEff:\t0000000000000000\n") {
		t.Errorf("it is privileged:\n%s", status)
	}
	before := awaitPebblesCertificate(t, e, "127.0.0.1:443")
	checkKeyedEntryPoint(t, e, "https://127.0.0.1")
	checkRedirect(t, e, http.StatusPermanentRedirect)

	c.compose(t, "up", "--detach", "--wait", "--force-recreate", "immichaccess")
	if after := awaitPebblesCertificate(t, e, "127.0.0.1:443"); after != before {
		t.Error("the new container has a new certificate, so the old one was not kept")
	}
	checkStop(t, c)
}

// checkStop stops the container in the middle of an upload, which may finish.
func checkStop(t *testing.T, c *composition) {
	t.Helper()
	container := c.compose(t, "ps", "--quiet", "immichaccess")
	body, sender := io.Pipe()
	answer := make(chan error, 1)
	client := c.engine.clients(t)["HTTP/1.1"]
	go func() {
		status, _, err := send(t.Context(), client, http.MethodPost, "https://127.0.0.1/api/assets", traefik.ExampleKey, body)
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("status %d", status)
		}
		answer <- err
	}()
	// This is more than all buffers can hold: once it is sent, the proxy has begun to read it.
	if _, err := io.Copy(sender, io.MultiReader(strings.NewReader(harness.FormHead("a.mp4")), fakeimmich.Content(32<<20))); err != nil {
		t.Fatal(err)
	}

	stop := c.command(t.Context(), "stop", "immichaccess")
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, "the proxy to be stopped", func() bool { return strings.Contains(c.engine.logs(t, container), "msg=stopping transfers=1") })
	if _, err := io.WriteString(sender, harness.FormTail); err != nil {
		t.Fatal(err)
	}
	_ = sender.Close()
	if err := errors.Join(<-answer, stop.Wait()); err != nil {
		t.Error(err)
	}
	if code := c.engine.inspect(t, container, "{{.State.ExitCode}}"); code != "0" {
		t.Errorf("it ended with %s", code)
	}
}

func testTraefikCompose(t *testing.T, e *engine) {
	file := traefik.LoadCompose(t)
	for name, service := range file.Services {
		if name != "traefik" {
			e.docker(t, "tag", immichImage, strings.ReplaceAll(service.Image, "${IMMICH_VERSION:-release}", "release"))
		}
	}
	traefikImage(t, e, file.Services["traefik"].Image)
	c := newComposition(t, e, filepath.Join(traefik.ExampleDir(), "docker-compose.yml"), nil)
	c.compose(t, "up", "--detach", "--wait")

	two := e.clients(t)["HTTP/2.0"]
	harness.Await(t, "the entry point with the key", func() bool {
		status, _, err := send(t.Context(), two, http.MethodGet, "https://127.0.0.1:4000/api/server/ping", "", nil)
		return err == nil && status == http.StatusForbidden
	})
	checkKeyedEntryPoint(t, e, "https://127.0.0.1:4000")
	for protocol, client := range e.clients(t) {
		want(t, protocol+", the entry point without a key", client, http.MethodGet, "https://127.0.0.1/api/server/ping", "", nil, http.StatusOK)
	}
	checkRedirect(t, e, http.StatusMovedPermanently)

	const monitor = "example-monitor-key-change-me"
	want(t, "the monitor's method", two, http.MethodGet, "https://127.0.0.1:4000/api/server/ping", monitor, nil, http.StatusOK)
	want(t, "not the monitor's method", two, http.MethodPost, "https://127.0.0.1:4000/api/assets", monitor, form(1000), http.StatusForbidden)
	for _, address := range []string{"127.0.0.1:443", "127.0.0.1:4000"} {
		checkLimit(t, e, address)
	}
	if log := e.logs(t, "immich-traefik-1"); !strings.Contains(log, "denied client=") || strings.Contains(log, traefik.ExampleKey) {
		t.Error("Traefik's log has no line for a denied request, or the key")
	}
}

// traefikImage replaces Traefik's.
func traefikImage(t *testing.T, e *engine, name string) {
	t.Helper()
	directory := t.TempDir()
	put(t, directory, "traefik", traefik.MustBuild(t))
	write(t, directory, "tmp/empty", "")
	e.image(t, name, directory, []string{`ENTRYPOINT ["/traefik"]`})
}

// composition is a file of Docker Compose and, if the test needs changes, a second one.
type composition struct {
	engine  *engine
	files   []string
	environ []string
}

func newComposition(t *testing.T, e *engine, file string, changes traefik.Settings) *composition {
	t.Helper()
	folder := t.TempDir()
	c := &composition{e, []string{file},
		[]string{"UPLOAD_LOCATION=" + filepath.Join(folder, "library"), "DB_DATA_LOCATION=" + filepath.Join(folder, "postgres")}}
	if len(changes) > 0 {
		text, err := yaml.Marshal(changes)
		if err != nil {
			t.Fatal(err)
		}
		write(t, folder, "test.yml", string(text))
		c.files = append(c.files, filepath.Join(folder, "test.yml"))
	}
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := c.command(context.Background(), "logs", "--no-color").CombinedOutput()
			t.Logf("the containers' log:\n%s", harness.Tail(string(logs)))
		}
		if output, err := c.command(context.Background(), "down", "--volumes", "--timeout=5").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
	return c
}

func (c *composition) command(ctx context.Context, arguments ...string) *exec.Cmd {
	all := []string{"compose"}
	for _, file := range c.files {
		all = append(all, "--file="+file)
	}
	command := c.engine.command(ctx, "docker", append(all, arguments...)...)
	command.Env = append(command.Env, c.environ...)
	return command
}

func (c *composition) compose(t *testing.T, arguments ...string) string {
	t.Helper()
	return output(t, c.command(t.Context(), arguments...))
}

// checkKeyedEntryPoint makes requests, over each protocol, to an entry point that requires a key.
func checkKeyedEntryPoint(t *testing.T, e *engine, origin string) {
	t.Helper()
	clients := e.clients(t)
	for i, protocol := range slices.Sorted(maps.Keys(clients)) {
		client, size := clients[protocol], int64(10<<20+i) // Immich would recognize a file that it has
		want(t, protocol+", no key", client, http.MethodGet, origin+"/api/server/ping", "", nil, http.StatusForbidden)
		want(t, protocol+", a wrong key", client, http.MethodGet, origin+"/api/server/ping", "wrong", nil, http.StatusForbidden)
		want(t, protocol+", the key", client, http.MethodGet, origin+"/api/server/ping", traefik.ExampleKey, nil, http.StatusOK)
		want(t, protocol+", an upload", client, http.MethodPost, origin+"/api/assets", traefik.ExampleKey, form(size), http.StatusCreated)
		want(t, protocol+", the same again", client, http.MethodPost, origin+"/api/assets", traefik.ExampleKey, form(size), http.StatusOK)
		want(t, protocol+", an upload without a key", client, http.MethodPost, origin+"/api/assets", "", form(1000), http.StatusForbidden)
	}
}

func want(t *testing.T, what string, client *http.Client, method, url, key string, body io.Reader, status int) {
	t.Helper()
	got, proto, err := send(t.Context(), client, method, url, key, body)
	if err != nil || got != status {
		t.Errorf("%s: %s %d, %v; want %d", what, proto, got, err, status)
	}
}

func form(size int64) io.Reader {
	return harness.Form("a.mp4", size)
}

func send(ctx context.Context, client *http.Client, method, url, key string, body io.Reader) (status int, proto string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, "", err
	}
	request.Host = harness.Domain
	if key != "" {
		request.Header.Set("X-Access-Key", key)
	}
	if body != nil {
		request.Header.Set("Content-Type", harness.FormType)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Proto, err
}

func checkRedirect(t *testing.T, e *engine, status int) {
	t.Helper()
	want(t, "plain HTTP", e.clients(t)["HTTP/1.1"], http.MethodGet, "http://127.0.0.1/api/server/ping", "", nil, status)
}

// checkLimit announces a byte more than the default of maxUploadSize, and sends no body.
func checkLimit(t *testing.T, e *engine, address string) {
	t.Helper()
	conn, err := e.dialTLS(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST /api/assets HTTP/1.1\r\nHost: %s\r\nX-Access-Key: %s\r\nContent-Length: %d\r\n\r\n",
		harness.Domain, traefik.ExampleKey, 50_000<<20+1)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("an upload that is too large for %s gets %s", address, response.Status)
	}
}

// awaitPebblesCertificate returns its serial number.
func awaitPebblesCertificate(t *testing.T, e *engine, address string) string {
	t.Helper()
	var serial string
	harness.Await(t, "a certificate by Pebble", func() bool {
		conn, err := e.dialTLS(t.Context(), address)
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		leaf := conn.ConnectionState().PeerCertificates[0]
		serial = leaf.SerialNumber.String()
		return strings.HasPrefix(leaf.Issuer.CommonName, "Pebble")
	})
	return serial
}
