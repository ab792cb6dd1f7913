package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/quic-go/quic-go/http3"
)

// What the standalone proxy takes of memory, as a program of its own, so that the test's memory is not counted.

const gigabyte = 1 << 30

// door is a standalone proxy as a program, with a self-signed certificate, open to everybody.
type door struct {
	address string
	immich  *fakeimmich.Server
	log     *logBuffer
	process *os.Process
}

func startDoor(t testing.TB) door {
	t.Helper()
	immich, upstream := serveImmich(t)
	return startDoorTo(t, immich, upstream)
}

func startDoorTo(t testing.TB, immich *fakeimmich.Server, upstream string, more ...string) door {
	t.Helper()
	d := door{address: freeAddress(t), immich: immich}
	arguments := append([]string{"--upstreams=" + upstream, "--listen.https=" + d.address, "--listen.http=", "--access.requireKey=false"}, more...)
	d.log, d.process = launch(t, nil, "immichaccess", arguments...)
	await(t, "the proxy", func() bool { return certificate(d.address, "localhost") != nil })
	return d
}

// peak is the most memory the program has had, in bytes.
func (d door) peak(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatal("there is no VmHWM")
	return 0
}

func (d door) url(path string) string {
	return "https://" + d.address + path
}

// speakers are clients of one protocol each.
func speakers(t testing.TB) map[string]*http.Client {
	t.Helper()
	one, two := anyCertificate(), anyCertificate()
	one.NextProtos = []string{"http/1.1"}
	three := &http3.Transport{TLSClientConfig: anyCertificate()}
	t.Cleanup(func() { _ = three.Close() })
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{TLSClientConfig: one}},
		"HTTP/2":   {Transport: &http.Transport{TLSClientConfig: two, ForceAttemptHTTP2: true}},
		"HTTP/3":   {Transport: three},
	}
}

const formHead, formTail = "--x\r\nContent-Disposition: form-data; name=\"assetData\"; filename=\"a.mp4\"\r\n\r\n", "\r\n--x--\r\n"

func form(size int64) io.Reader {
	return io.MultiReader(strings.NewReader(formHead), fakeimmich.Content(size), strings.NewReader(formTail))
}

func sendUpload(t testing.TB, client *http.Client, url string, body io.Reader) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode >= http.StatusMultipleChoices {
		t.Errorf("%s, %v", response.Status, err)
	}
}

func TestBigTransfersTakeLittleMemory(t *testing.T) {
	for protocol, client := range speakers(t) {
		t.Run(protocol, func(t *testing.T) {
			d := startDoor(t)
			sendUpload(t, client, d.url("/api/assets"), form(2*gigabyte))
			response, err := client.Get(d.url(fmt.Sprintf("/api/assets/1/original?size=%d", 2*gigabyte)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if n, err := io.Copy(io.Discard, response.Body); n != 2*gigabyte || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			if upload := d.immich.Uploads()[0]; !upload.Complete || upload.Size != 2*gigabyte {
				t.Errorf("Immich has %+v", upload)
			}
			wantPeak(t, d, 96<<20)
		})
	}
}

func wantPeak(t testing.TB, d door, most int64) {
	t.Helper()
	peak := d.peak(t)
	t.Logf("the proxy took %d MB at most", peak>>20)
	if peak > most {
		t.Errorf("that is more than %d MB", most>>20)
	}
}

// manyUploads is how many clients, each with a connection of its own, are in the middle of an upload at the same time.
const manyUploads = 100

func TestManyUploadsTakeLittleMemory(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			d := startDoor(t)
			release := make(chan struct{})
			var all sync.WaitGroup
			for range manyUploads {
				all.Go(func() {
					body, writer := io.Pipe()
					go func() {
						_, _ = io.Copy(writer, io.MultiReader(strings.NewReader(formHead), fakeimmich.Content(1<<20)))
						<-release
						_, _ = io.Copy(writer, io.MultiReader(fakeimmich.Content(1<<20), strings.NewReader(formTail)))
						_ = writer.Close()
					}()
					sendUpload(t, speakers(t)[protocol], d.url("/api/assets"), body)
				})
			}
			await(t, "all uploads to be under way", func() bool {
				uploads := d.immich.Uploads()
				under := slices.IndexFunc(uploads, func(u fakeimmich.Upload) bool { return u.Bytes < 1<<19 })
				return len(uploads) == manyUploads && under < 0
			})
			close(release)
			all.Wait()
			wantPeak(t, d, 64<<20)
		})
	}
}

// TestManyUploadsToASlowImmichTakeLittleMemory has an Immich that does not read until nobody can send any more.
func TestManyUploadsToASlowImmichTakeLittleMemory(t *testing.T) {
	const size = 8 << 20
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			immich, release := fakeimmich.New(), make(chan struct{})
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-release
				immich.ServeHTTP(w, r)
			}))
			t.Cleanup(upstream.Close)
			d := startDoorTo(t, immich, upstream.URL)
			sent := &countingReader{}
			var all sync.WaitGroup
			for range manyUploads {
				all.Go(func() { sendUpload(t, speakers(t)[protocol], d.url("/api/assets"), sent.of(form(size))) })
			}
			await(t, "the uploads to stand still", sent.standsStill())
			close(release)
			all.Wait()
			if n := len(immich.Uploads()); n != manyUploads {
				t.Errorf("%d uploads have arrived", n)
			}
			wantPeak(t, d, 80<<20)
		})
	}
}

// countingReader counts what is read from all its readers.
type countingReader struct {
	count atomic.Int64
}

func (c *countingReader) of(r io.Reader) io.Reader {
	return io.TeeReader(r, c)
}

func (c *countingReader) Write(p []byte) (int, error) {
	c.count.Add(int64(len(p)))
	return len(p), nil
}

// standsStill returns what is true when the count has begun, and been the same for a second.
func (c *countingReader) standsStill() func() bool {
	last, since := int64(0), time.Now()
	return func() bool {
		if now := c.count.Load(); now != last {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > time.Second
	}
}

func TestIdleWebSocketsStay(t *testing.T) {
	const count = 2000
	immich, upstream := serveImmich(t)
	d := startDoorTo(t, immich, upstream, "--limits.connectionsPerClient=0")
	client := speakers(t)["HTTP/1.1"]
	sockets := make([]*websocket.Conn, count)
	for i := range sockets {
		conn, _, err := websocket.Dial(t.Context(), d.url("/api/socket.io/?EIO=4&transport=websocket"), &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		sockets[i] = conn
	}
	for i, conn := range sockets {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
		if _, echo, err := conn.Read(t.Context()); err != nil || !bytes.Equal(echo, []byte("still here")) {
			t.Fatalf("number %d: %q, %v", i, echo, err)
		}
	}
	wantPeak(t, d, 168<<20)
}

// TestTermLetsAnUploadFinish ends the program in the middle of an upload.
func TestTermLetsAnUploadFinish(t *testing.T) {
	for protocol, client := range speakers(t) {
		t.Run(protocol, func(t *testing.T) {
			d := startDoor(t)
			body, writer := io.Pipe()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				sendUpload(t, client, d.url("/api/assets"), body)
			}()
			rest := bufio.NewReader(form(1 << 20))
			_, _ = io.CopyN(writer, rest, 1<<19)
			await(t, "the upload to be under way", func() bool { u := d.immich.Uploads(); return len(u) == 1 && u[0].Bytes > 0 })
			if err := d.process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			await(t, "the proxy to stop", func() bool { return strings.Contains(d.log.String(), "stopping") })
			_, _ = io.Copy(writer, rest)
			_ = writer.Close()
			<-sent
			if upload := d.immich.Uploads()[0]; !upload.Complete || upload.Size != 1<<20 {
				t.Errorf("Immich has %+v", upload)
			}
		})
	}
}
