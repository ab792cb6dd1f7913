package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/quic-go/quic-go/http3"
)

// example is a Traefik that runs with the files of examples/traefik.
type example struct {
	*traefik.Example
	immich  *fakeimmich.Server
	process *traefik.Process
	log     *logBuffer
}

func startExample(t *testing.T, change ...func(*traefik.Example)) *example {
	t.Helper()
	immich, url := serveImmich(t)
	bent, err := traefik.LoadExample(t.TempDir(), url)
	if err != nil {
		t.Fatal(err)
	}
	for _, apply := range change {
		apply(bent)
	}
	e := &example{Example: bent, immich: immich}
	e.process, e.log = start(t, bent.Static, bent.Dynamic, bent.Web, bent.Open, bent.Keyed)
	e.awaitDoor(t)
	return e
}

// awaitDoor waits until the door with the key is there.
func (e *example) awaitDoor(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if e.status(t, http2Client(), e.Keyed, "") == http.StatusForbidden {
			return
		}
	}
	t.Fatal("the door with the key does not appear")
}

func http1Client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: anyCertificate(), DisableKeepAlives: true}}
}

func http2Client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: anyCertificate(), ForceAttemptHTTP2: true, DisableKeepAlives: true}}
}

func http3Client(t *testing.T) *http.Client {
	transport := &http3.Transport{TLSClientConfig: anyCertificate()}
	t.Cleanup(func() { transport.Close() })
	return &http.Client{Transport: transport}
}

func clients(t *testing.T) map[string]*http.Client {
	return map[string]*http.Client{"HTTP/1.1": http1Client(), "HTTP/2.0": http2Client(), "HTTP/3.0": http3Client(t)}
}

// request asks the example's host, at one of its doors.
func (e *example) request(t *testing.T, method, address, path, key string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "https://"+address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "photos.example.com"
	if key != "" {
		r.Header.Set("X-Access-Key", key)
	}
	return r
}

func (e *example) status(t *testing.T, client *http.Client, address, key string) int {
	t.Helper()
	return e.statusOf(t, client, address, "photos.example.com", key)
}

// statusOf is 0 without an answer.
func (e *example) statusOf(t *testing.T, client *http.Client, address, host, key string) int {
	t.Helper()
	r := e.request(t, http.MethodGet, address, "/api/server/ping", key, nil)
	r.Host = host
	response, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

// The two configurations of Immich's documentation, over each protocol.
func TestExampleDoors(t *testing.T) {
	e := startExample(t)
	for protocol, client := range clients(t) {
		t.Run(protocol, func(t *testing.T) {
			for _, c := range []struct {
				door, address, key string
				want               int
			}{
				{"open", e.Open, "", http.StatusOK},
				{"keyed", e.Keyed, "", http.StatusForbidden},
				{"keyed", e.Keyed, "wrong", http.StatusForbidden},
				{"keyed", e.Keyed, exampleKey, http.StatusOK},
			} {
				response, err := client.Do(e.request(t, http.MethodGet, c.address, "/api/server/ping", c.key, nil))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if response.StatusCode != c.want || response.Proto != protocol {
					t.Errorf("%s door, key %q: %s %d, want %d", c.door, c.key, response.Proto, response.StatusCode, c.want)
				}
			}
			e.upload(t, client, 10<<20)
		})
	}
	t.Run("WebSocket", func(t *testing.T) { e.socket(t) })
	if log := e.log.String(); strings.Contains(log, exampleKey) || !strings.Contains(log, "denied client=127.0.0.1") {
		t.Error("the log has the key, or no line for a denied request")
	}
}

func (e *example) socket(t *testing.T) {
	conn, _, err := websocket.Dial(t.Context(), "https://"+e.Keyed+"/api/socket.io/", &websocket.DialOptions{
		HTTPClient: http1Client(), Host: "photos.example.com", HTTPHeader: http.Header{"X-Access-Key": {exampleKey}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := conn.Read(t.Context()); err != nil || string(message) != "hello" {
		t.Errorf("%q, %v", message, err)
	}
}

// upload sends a file of the size through the door with the key, and wants Immich to have begun with it before the last
// byte has left.
func (e *example) upload(t *testing.T, client *http.Client, size int64) {
	t.Helper()
	name := fmt.Sprintf("VID_%d.mp4", time.Now().UnixNano())
	head, tail, contentType := frame(t, name)
	lastByte := &gate{Reader: strings.NewReader(tail), wait: func() { e.await(t, func(u fakeimmich.Upload) bool { return u.Filename == name }) }}
	body := io.MultiReader(strings.NewReader(head+name), io.LimitReader(fakeimmich.Content(size), size), lastByte)
	r := e.request(t, http.MethodPost, e.Keyed, "/api/assets", exampleKey, io.NopCloser(body))
	r.ContentLength = int64(len(head)+len(name)+len(tail)) + size
	r.Header.Set("Content-Type", contentType)
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	upload := e.await(t, func(u fakeimmich.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if response.StatusCode != http.StatusCreated || !upload.Complete || upload.Size != size+int64(len(name)) {
		t.Errorf("status %d, %+v", response.StatusCode, upload)
	}
}

// gate waits before it lets the rest of a body out.
type gate struct {
	io.Reader
	wait func()
}

func (g *gate) Read(p []byte) (int, error) {
	g.wait()
	return g.Reader.Read(p)
}

// frame returns what stands before and after a file in a form.
func frame(t *testing.T, name string) (head, tail, contentType string) {
	t.Helper()
	var buffer bytes.Buffer
	form := multipart.NewWriter(&buffer)
	if _, err := form.CreateFormFile("assetData", name); err != nil {
		t.Fatal(err)
	}
	return buffer.String(), "\r\n--" + form.Boundary() + "--\r\n", form.FormDataContentType()
}

func (e *example) await(t *testing.T, match func(fakeimmich.Upload) bool) fakeimmich.Upload {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	upload, err := e.immich.Await(ctx, match)
	if err != nil {
		t.Fatal(err)
	}
	return upload
}

// A large upload takes neither memory nor disk: 2 GB pass, and Traefik grows by less than 64 MiB.
func TestLargeUpload(t *testing.T) {
	e := startExample(t)
	for protocol, client := range clients(t) {
		if protocol == "HTTP/3.0" {
			continue // as the others, at a tenth of the speed: QUIC in user space
		}
		t.Run(protocol, func(t *testing.T) {
			e.upload(t, client, 1<<20)
			memory, written := e.memory(t), e.written(t)
			e.upload(t, client, 2<<30)
			if grown := e.memory(t) - memory; grown > 64<<20 {
				t.Errorf("Traefik has grown by %d MiB", grown>>20)
			}
			if grown := e.written(t) - written; grown > 1<<20 {
				t.Errorf("Traefik has written %d MiB to disk", grown>>20)
			}
		})
	}
}

// memory returns the most memory that Traefik has had so far, in bytes.
func (e *example) memory(t *testing.T) int {
	return e.proc(t, "status", "VmHWM:") << 10
}

func (e *example) written(t *testing.T) int {
	return e.proc(t, "io", "write_bytes:")
}

func (e *example) proc(t *testing.T, file, label string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(e.process.PID), file))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if value, found := strings.CutPrefix(line, label); found {
			number, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatalf("%s has no %s", file, label)
	return 0
}

// The plugin can't lengthen the time that an entry point gives an upload, but it can tell.
func TestReadTimeoutIsReported(t *testing.T) {
	e := startExample(t, func(e *traefik.Example) {
		for _, name := range []string{"websecure", "immich-key"} {
			delete(e.Static["entryPoints"].(traefik.Settings)[name].(traefik.Settings), "transport")
		}
	})
	e.upload(t, http1Client(), 1000)
	e.upload(t, http2Client(), 1000)
	if n := strings.Count(e.log.String(), "takes longer than 1m0s"); n != 1 {
		t.Errorf("the log tells it %d times", n)
	}
}

// A changed key file counts within 5 s, and what earlier configurations left behind does not follow it as well.
func TestKeysFileAcrossReloads(t *testing.T) {
	const older, newer = "an-old-secret-of-a-key", "a-new-secret-of-a-key"
	keys := filepath.Join(t.TempDir(), "keys.txt")
	writeKeys(t, keys, "phone:"+older)
	e := startExample(t, func(e *traefik.Example) {
		middlewares := e.Dynamic["http"].(traefik.Settings)["middlewares"].(traefik.Settings)
		middlewares["immich-key"] = traefik.Settings{"plugin": traefik.Settings{pluginName: traefik.Settings{"keysFile": keys}}}
	})
	for i := range 5 {
		e.reload(t, i)
	}
	if got := e.status(t, http2Client(), e.Keyed, older); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}

	writeKeys(t, keys, "phone:"+newer)
	within5s(t, "the new key works", func() bool { return e.status(t, http2Client(), e.Keyed, newer) == http.StatusOK })
	if got := e.status(t, http2Client(), e.Keyed, older); got != http.StatusForbidden {
		t.Errorf("the revoked key: status %d", got)
	}
	writeKeys(t, keys, "\x00\xff\x1b binary")
	within5s(t, "the log tells of the broken file", func() bool { return strings.Contains(e.log.String(), "the keys stay as they were") })
	if got := e.status(t, http2Client(), e.Keyed, newer); got != http.StatusOK {
		t.Errorf("after a broken edit: status %d", got)
	}
	if n := strings.Count(e.log.String(), "has changed"); n != 1 {
		t.Errorf("%d follow the file", n)
	}
}

// reload changes the dynamic configuration and waits until Traefik has it.
func (e *example) reload(t *testing.T, number int) {
	t.Helper()
	host := fmt.Sprintf("reload%d.example.com", number)
	e.Dynamic["http"].(traefik.Settings)["routers"].(traefik.Settings)[host] = traefik.Settings{
		"rule": "Host(`" + host + "`)", "entryPoints": []string{"immich-key"}, "service": "immich", "tls": traefik.Settings{},
	}
	file := e.Static["providers"].(traefik.Settings)["file"].(traefik.Settings)["filename"].(string)
	if err := traefik.Write(file, e.Dynamic); err != nil {
		t.Fatal(err)
	}
	within5s(t, "Traefik has read it", func() bool { return e.statusOf(t, http2Client(), e.Keyed, host, "") == http.StatusOK })
}

func within5s(t *testing.T, what string, happens func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !happens(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so within 5 s: %s", what)
		}
	}
}

func writeKeys(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A configuration that is wrong leaves the route shut, and the log tells all of what is wrong.
func TestWrongConfigurationShutsTheDoor(t *testing.T) {
	e := startExample(t, func(e *traefik.Example) {
		http := e.Dynamic["http"].(traefik.Settings)
		http["middlewares"].(traefik.Settings)["wrong"] = traefik.Settings{"plugin": traefik.Settings{pluginName: traefik.Settings{
			"keys": []string{"phone:" + exampleKey + " expires=tomorrow"}, "maxUploadSize": "lots", "trustedProxies": "localhost",
		}}}
		router := traefik.Settings{"rule": "Host(`wrong.example.com`)", "entryPoints": []string{"immich-key"}, "middlewares": []string{"wrong"}, "service": "immich", "tls": traefik.Settings{}}
		http["routers"].(traefik.Settings)["wrong"] = router
	})
	r := e.request(t, http.MethodGet, e.Keyed, "/api/server/ping", exampleKey, nil)
	r.Host = "wrong.example.com"
	response, err := http2Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", response.StatusCode)
	}
	log := e.log.String()
	for _, part := range []string{"keys: entry 1", "tomorrow", "maxUploadSize", "lots", "trustedProxies", "localhost"} {
		if !strings.Contains(log, part) {
			t.Errorf("the log does not tell of %s", part)
		}
	}
	if strings.Contains(log, exampleKey) {
		t.Error("the log has the key")
	}
}
