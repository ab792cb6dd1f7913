package traefik_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// example is a Traefik that runs with the files of examples/traefik.
type example struct {
	*traefik.Example
	*traefik.Running

	immich *fakeimmich.Server
	client *http.Client // of HTTP/2
}

func startExample(t *testing.T, change ...func(*traefik.Example)) *example {
	t.Helper()
	immich, url := harness.ServeImmich(t)
	files, err := traefik.LoadExample(t.TempDir(), url)
	if err != nil {
		t.Fatal(err)
	}
	for _, apply := range change {
		apply(files)
	}
	e := &example{Example: files, immich: immich, client: harness.Client(t, harness.HTTP2)}
	e.Running = traefik.Run(t, files.Static, files.Dynamic, files.Web, files.Open, files.Keyed)
	harness.Await(t, "the entry point with the key", func() bool { return e.status(t, e.Keyed, "") == http.StatusForbidden })
	return e
}

// request is for the example's host, at one of its entry points.
func (e *example) request(t *testing.T, method, address, path, key string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "https://"+address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = harness.Domain
	if key != "" {
		r.Header.Set("X-Access-Key", key)
	}
	return r
}

func (e *example) status(t *testing.T, address, key string) int {
	t.Helper()
	return e.statusOf(t, address, harness.Domain, key)
}

// statusOf is 0 without an answer.
func (e *example) statusOf(t *testing.T, address, host, key string) int {
	t.Helper()
	r := e.request(t, http.MethodGet, address, "/api/server/ping", key, nil)
	r.Host = host
	response, err := e.client.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// The two configurations of Immich's documentation, over each protocol.
func TestExampleEntryPoints(t *testing.T) {
	e := startExample(t)
	for protocol, client := range harness.Clients(t) {
		t.Run(protocol, func(t *testing.T) {
			for _, c := range []struct {
				entryPoint, address, key string
				want                     int
			}{
				{"open", e.Open, "", http.StatusOK},
				{"keyed", e.Keyed, "", http.StatusForbidden},
				{"keyed", e.Keyed, "wrong", http.StatusForbidden},
				{"keyed", e.Keyed, traefik.ExampleKey, http.StatusOK},
			} {
				response, err := client.Do(e.request(t, http.MethodGet, c.address, "/api/server/ping", c.key, nil))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if response.StatusCode != c.want || response.Proto != protocol {
					t.Errorf("entry point %s, key %q: %s %d, want %d", c.entryPoint, c.key, response.Proto, response.StatusCode, c.want)
				}
			}
			e.upload(t, client, 10<<20)
		})
	}
	t.Run("WebSocket", func(t *testing.T) { e.socket(t) })
	if log := e.Log.String(); strings.Contains(log, traefik.ExampleKey) || !strings.Contains(log, "denied client=127.0.0.1") {
		t.Error("the log has the key, or no line for a denied request")
	}
}

func (e *example) socket(t *testing.T) {
	conn, _, err := websocket.Dial(t.Context(), "https://"+e.Keyed+"/api/socket.io/", &websocket.DialOptions{
		HTTPClient: harness.Client(t, harness.HTTP1), Host: harness.Domain, HTTPHeader: http.Header{"X-Access-Key": {traefik.ExampleKey}},
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

// upload sends a file of the size through the entry point with the key. It holds the end of the body back until Immich has received the
// beginning, so that a gateway that buffers the request would never send it.
func (e *example) upload(t *testing.T, client *http.Client, size int64) {
	t.Helper()
	name := fmt.Sprintf("VID_%d.mp4", time.Now().UnixNano())
	head := harness.FormHead(name) + name
	tail := &waitingReader{
		Reader: strings.NewReader(harness.FormTail),
		wait:   func() { e.await(t, func(u fakeimmich.Upload) bool { return u.Filename == name }) },
	}
	body := io.MultiReader(strings.NewReader(head), fakeimmich.Content(size), tail)
	r := e.request(t, http.MethodPost, e.Keyed, "/api/assets", traefik.ExampleKey, io.NopCloser(body))
	r.ContentLength = int64(len(head)+len(harness.FormTail)) + size
	r.Header.Set("Content-Type", harness.FormType)
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

// waitingReader waits before its first read.
type waitingReader struct {
	io.Reader
	wait func()
}

func (w *waitingReader) Read(p []byte) (int, error) {
	w.wait()
	return w.Reader.Read(p)
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

// A large upload needs neither memory nor disk: with 2 GB, Traefik grows by less than 64 MiB.
func TestLargeUpload(t *testing.T) {
	e := startExample(t)
	for protocol, client := range harness.Clients(t) {
		if protocol == harness.HTTP3 {
			continue // like the others, at a tenth of the speed: QUIC runs in user space
		}
		t.Run(protocol, func(t *testing.T) {
			e.upload(t, client, 1<<20)
			memory, written := harness.PeakMemory(t, e.PID), e.written(t)
			e.upload(t, client, 2<<30)
			if grown := harness.PeakMemory(t, e.PID) - memory; grown > 64<<20 {
				t.Errorf("Traefik has grown by %d MiB", grown>>20)
			}
			if grown := e.written(t) - written; grown > 1<<20 {
				t.Errorf("Traefik has written %d MiB to disk", grown>>20)
			}
		})
	}
}

func (e *example) written(t *testing.T) int64 {
	t.Helper()
	written, err := harness.ProcNumber(e.PID, "io", "write_bytes:")
	if err != nil {
		t.Fatal(err)
	}
	return written
}

// The plugin can't change how long an entry point lets an upload take, but it reports the limit.
func TestReadTimeoutIsReported(t *testing.T) {
	e := startExample(t, func(e *traefik.Example) {
		for _, name := range []string{"websecure", "immich-key"} {
			delete(e.Static.At("entryPoints").At(name), "transport")
		}
	})
	e.upload(t, harness.Client(t, harness.HTTP1), 1000)
	e.upload(t, e.client, 1000)
	if n := strings.Count(e.Log.String(), "takes longer than 1m0s"); n != 1 {
		t.Errorf("the log has the warning %d times", n)
	}
}

// keysFileDelay is within which a changed key file takes effect.
const keysFileDelay = 5 * time.Second

// A changed key file takes effect, and the instances of earlier configurations do not log it as well.
func TestKeysFileAcrossReloads(t *testing.T) {
	const older, newer = "an-old-secret-of-a-key", "a-new-secret-of-a-key"
	keys := filepath.Join(t.TempDir(), "keys.txt")
	harness.WriteFile(t, keys, "phone:"+older+"\n")
	e := startExample(t, func(e *traefik.Example) {
		e.Dynamic.At("http").At("middlewares")["immich-key"] = traefik.Plugin(traefik.Settings{"keysFile": keys})
	})
	for i := range 5 {
		e.reload(t, i)
	}
	if got := e.status(t, e.Keyed, older); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}

	harness.WriteFile(t, keys, "phone:"+newer+"\n")
	harness.AwaitWithin(t, keysFileDelay, "the new key to work", func() bool { return e.status(t, e.Keyed, newer) == http.StatusOK })
	if got := e.status(t, e.Keyed, older); got != http.StatusForbidden {
		t.Errorf("the revoked key: status %d", got)
	}
	harness.WriteFile(t, keys, "\x00\xff\x1b binary"+"\n")
	harness.AwaitWithin(t, keysFileDelay, "the log to mention the broken file", func() bool { return strings.Contains(e.Log.String(), "the keys stay as they were") })
	if got := e.status(t, e.Keyed, newer); got != http.StatusOK {
		t.Errorf("after a broken edit: status %d", got)
	}
	if n := strings.Count(e.Log.String(), "has changed"); n != 1 {
		t.Errorf("%d instances log the change of the file", n)
	}
}

// reload changes the dynamic configuration and waits until Traefik has it.
func (e *example) reload(t *testing.T, number int) {
	t.Helper()
	host := fmt.Sprintf("reload%d.example.com", number)
	e.Dynamic.At("http").At("routers")[host] = traefik.Settings{
		"rule": "Host(`" + host + "`)", "entryPoints": []string{"immich-key"}, "service": "immich", "tls": traefik.Settings{},
	}
	e.SetDynamic(t, e.Dynamic)
	harness.Await(t, "Traefik to have read it", func() bool { return e.statusOf(t, e.Keyed, host, "") == http.StatusOK })
}

// With an invalid configuration the route does not exist, and the log names everything that is wrong.
func TestInvalidConfigurationClosesTheRoute(t *testing.T) {
	e := startExample(t, func(e *traefik.Example) {
		e.Dynamic.At("http").At("middlewares")["wrong"] = traefik.Plugin(traefik.Settings{
			"keys": []string{"phone:" + traefik.ExampleKey + " expires=tomorrow"}, "maxUploadSize": "lots", "trustedProxies": "localhost",
		})
		e.Dynamic.At("http").At("routers")["wrong"] = traefik.Settings{
			"rule": "Host(`wrong.example.com`)", "entryPoints": []string{"immich-key"}, "middlewares": []string{"wrong"}, "service": "immich",
			"tls": traefik.Settings{},
		}
	})
	r := e.request(t, http.MethodGet, e.Keyed, "/api/server/ping", traefik.ExampleKey, nil)
	r.Host = "wrong.example.com"
	response, err := e.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("status %d", response.StatusCode)
	}
	log := e.Log.String()
	for _, part := range []string{"keys: entry 1", "tomorrow", "maxUploadSize", "lots", "trustedProxies", "localhost"} {
		if !strings.Contains(log, part) {
			t.Errorf("the log does not mention %s", part)
		}
	}
	if strings.Contains(log, traefik.ExampleKey) {
		t.Error("the log has the key")
	}
}
