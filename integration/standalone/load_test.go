package standalone

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// How much memory the standalone proxy takes, as a separate program, so that the test's memory is not counted.

// proxy is a standalone proxy as a program, with a self-signed certificate.
type proxy struct {
	*harness.Process

	address string
	immich  *fakeimmich.Server
}

// startOpenProxy starts a proxy that requires no key.
func startOpenProxy(t testing.TB) proxy {
	t.Helper()
	immich, upstream := harness.ServeImmich(t)
	return startOpenProxyTo(t, immich, upstream)
}

func startOpenProxyTo(t testing.TB, immich *fakeimmich.Server, upstream string, more ...string) proxy {
	t.Helper()
	p := proxy{address: harness.FreeAddress(t), immich: immich}
	arguments := append([]string{"--upstreams=" + upstream, "--listen.https=" + p.address, "--listen.http=", "--access.requireKey=false"}, more...)
	p.Process = harness.Start(t, harness.Binary(t), arguments...)
	p.AwaitListening(t, p.address)
	return p
}

func (p proxy) url(path string) string {
	return "https://" + p.address + path
}

func form(size int64) io.Reader {
	return harness.Form("a.mp4", size)
}

func TestBigTransfersTakeLittleMemory(t *testing.T) {
	for protocol, client := range harness.Clients(t) {
		t.Run(protocol, func(t *testing.T) {
			p := startOpenProxy(t)
			harness.Upload(t, client, p.url("/api/assets"), form(2<<30))
			response, err := client.Get(p.url(fmt.Sprintf("/api/assets/1/original?size=%d", 2<<30)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if n, err := io.Copy(io.Discard, response.Body); n != 2<<30 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			if upload := p.immich.Uploads()[0]; !upload.Complete || upload.Size != 2<<30 {
				t.Errorf("Immich has %+v", upload)
			}
			wantPeak(t, p, 96<<20)
		})
	}
}

func wantPeak(t testing.TB, p proxy, most int64) {
	t.Helper()
	peak := p.PeakMemory(t)
	t.Logf("the proxy took %d MB at most", peak>>20)
	if peak > most {
		t.Errorf("that is more than %d MB", most>>20)
	}
}

// manyUploads is how many clients, each with its own connection, are in the middle of an upload at the same time.
const manyUploads = 100

func TestManyUploadsTakeLittleMemory(t *testing.T) {
	for _, protocol := range []string{harness.HTTP1, harness.HTTP2} {
		t.Run(protocol, func(t *testing.T) {
			p := startOpenProxy(t)
			release := make(chan struct{})
			var all sync.WaitGroup
			for range manyUploads {
				all.Go(func() {
					body, writer := io.Pipe()
					go func() {
						_, _ = io.Copy(writer, io.MultiReader(strings.NewReader(harness.FormHead("a.mp4")), fakeimmich.Content(1<<20)))
						<-release
						_, _ = io.Copy(writer, io.MultiReader(fakeimmich.Content(1<<20), strings.NewReader(harness.FormTail)))
						_ = writer.Close()
					}()
					harness.Upload(t, harness.Client(t, protocol), p.url("/api/assets"), body)
				})
			}
			harness.Await(t, "all uploads to be in progress", func() bool {
				uploads := p.immich.Uploads()
				waiting := slices.IndexFunc(uploads, func(u fakeimmich.Upload) bool { return u.Bytes < 1<<19 })
				return len(uploads) == manyUploads && waiting < 0
			})
			close(release)
			all.Wait()
			wantPeak(t, p, 64<<20)
		})
	}
}

// TestManyUploadsToASlowImmichTakeLittleMemory has an Immich that does not read until no client can send any more.
func TestManyUploadsToASlowImmichTakeLittleMemory(t *testing.T) {
	const size = 8 << 20
	for _, protocol := range []string{harness.HTTP1, harness.HTTP2} {
		t.Run(protocol, func(t *testing.T) {
			immich, release := fakeimmich.New(), make(chan struct{})
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-release
				immich.ServeHTTP(w, r)
			}))
			t.Cleanup(upstream.Close)
			p := startOpenProxyTo(t, immich, upstream.URL)
			sent := &countingReader{}
			var all sync.WaitGroup
			for range manyUploads {
				all.Go(func() { harness.Upload(t, harness.Client(t, protocol), p.url("/api/assets"), sent.of(form(size))) })
			}
			harness.Await(t, "the uploads to stall", sent.stalled())
			close(release)
			all.Wait()
			if n := len(immich.Uploads()); n != manyUploads {
				t.Errorf("%d uploads have arrived", n)
			}
			wantPeak(t, p, 80<<20)
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

// stalled returns a function that reports whether the count has begun, and has not changed for a second.
func (c *countingReader) stalled() func() bool {
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
	immich, upstream := harness.ServeImmich(t)
	p := startOpenProxyTo(t, immich, upstream, "--limits.connectionsPerClient=0")
	client := harness.Client(t, harness.HTTP1)
	sockets := make([]*websocket.Conn, count)
	for i := range sockets {
		conn, _, err := websocket.Dial(t.Context(), p.url("/api/socket.io/?EIO=4&transport=websocket"), &websocket.DialOptions{HTTPClient: client})
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
	wantPeak(t, p, 112<<20)
}

// TestTermLetsAnUploadFinish ends the program in the middle of an upload.
func TestTermLetsAnUploadFinish(t *testing.T) {
	for protocol, client := range harness.Clients(t) {
		t.Run(protocol, func(t *testing.T) {
			p := startOpenProxy(t)
			upload := harness.HoldUpload(t, client, p.url("/api/assets"), p.immich, "a.mp4")
			if err := p.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			harness.Await(t, "the proxy to stop", func() bool { return p.Log.Contains("stopping") })
			upload.Finish(t)
		})
	}
}
