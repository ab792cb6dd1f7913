package app

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/traefik/paerser/types"
)

func TestTransfersAreWhole(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, unchanged)
		if status, answer := upload(t, client, a.url("/api/assets"), fakeimmich.Content(size)); status != http.StatusCreated {
			t.Fatalf("%d %s", status, answer)
		}
		sum := sha1.New()
		_, _ = io.Copy(sum, fakeimmich.Content(size))
		if got := a.immich.Uploads()[0]; got.Checksum != hex.EncodeToString(sum.Sum(nil)) || !got.Complete {
			t.Errorf("Immich has %+v", got)
		}
		_, content := get(t, client, a.url(fmt.Sprintf("/api/assets/1/original?size=%d", size)))
		want, _ := io.ReadAll(fakeimmich.Content(size))
		if !bytes.Equal([]byte(content), want) {
			t.Errorf("%d bytes came back, not the same", len(content))
		}
	})
}

// upload sends content as Immich's clients do, with unknown length.
func upload(t *testing.T, client *http.Client, url string, content io.Reader) (status int, answer string) {
	t.Helper()
	body, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		part, err := form.CreateFormFile("assetData", "photo.jpg")
		if err == nil {
			_, err = io.Copy(part, content)
		}
		if err == nil {
			err = form.Close()
		}
		_ = writer.CloseWithError(err)
	}()
	request := newRequest(t, http.MethodPost, url, body)
	request.Header.Set("Content-Type", form.FormDataContentType())
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// trickle is content that comes slowly, a byte at a time.
type trickle struct {
	left int
	gap  time.Duration
}

func (s *trickle) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	time.Sleep(s.gap)
	p[0] = 'x'
	return 1, nil
}

func TestTrickleOutlivesEveryTimeout(t *testing.T) {
	t.Parallel()
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, func(s *config.Settings) {
			short := types.Duration(2 * time.Second)
			s.Timeouts = config.Timeouts{Idle: short, Header: short, Upstream: short, KeepAlive: short, Shutdown: short}
		})
		status, answer := upload(t, client, a.url("/api/assets"), &trickle{left: 12, gap: 250 * time.Millisecond})
		if status != http.StatusCreated {
			t.Errorf("%d %s", status, answer)
		}
	})
}

// beginning is the body of an upload of which no more than a few bytes ever come.
func beginning() io.ReadCloser {
	body, writer := io.Pipe()
	go func() { _, _ = io.WriteString(writer, "--x\r\n") }()
	return body
}

func shortIdle(s *config.Settings) {
	s.Timeouts.Idle = types.Duration(time.Second)
	s.Log.Access = true
}

func TestStalledUploadEnds(t *testing.T) {
	t.Parallel()
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, shortIdle)
		status, answer := send(t, client, http.MethodPost, a.url("/api/users/profile-image"), beginning())
		if status != http.StatusRequestTimeout || !strings.Contains(answer, `"statusCode":408`) {
			t.Errorf("%d %s", status, answer)
		}
		got := a.await(t, func(u fakeimmich.Upload) bool { return !u.End.IsZero() })
		if got.Complete {
			t.Error("Immich takes the upload for complete")
		}
	})
}

func TestStalledDownloadEnds(t *testing.T) {
	t.Parallel()
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, shortIdle)
		response, err := client.Do(newRequest(t, http.MethodGet, a.url("/api/assets/1/original?size=1073741824"), nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		waitFor(t, "the download to end", func() bool { return a.tracker.Running() == 0 })
	})
}

// TestSlowDownloadGoesOn has an HTTP/2 client that reads two frames within the idle timeout, which is less than it is sent in one write
// while it is fast.
func TestSlowDownloadGoesOn(t *testing.T) {
	t.Parallel()
	const idle, window, size, step = 2 * time.Second, 64 << 10, 256 << 10, 8 << 10
	a := open(t, func(s *config.Settings) { s.Timeouts.Idle = types.Duration(idle) })
	transport := &http.Transport{
		TLSClientConfig: trusting(), ForceAttemptHTTP2: true,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: window},
	}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := transport.RoundTrip(newRequest(t, http.MethodGet, a.url(fmt.Sprintf("/api/assets/1/original?size=%d", size)), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for taken := 0; taken < size; taken += step {
		if _, err := io.ReadFull(response.Body, make([]byte, step)); err != nil {
			t.Fatalf("%v after %d bytes", err, taken)
		}
		if taken > window {
			time.Sleep(idle / 5)
		}
	}
}

// TestSlowImmichIsNotAnIdleClient has an Immich that pauses before it reads, and again before it responds.
func TestSlowImmichIsNotAnIdleClient(t *testing.T) {
	t.Parallel()
	const size, slowness = 24 << 20, 1500 * time.Millisecond
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(slowness)
		n, _ := io.Copy(io.Discard, r.Body)
		time.Sleep(slowness)
		_, _ = fmt.Fprint(w, n)
	}))
	t.Cleanup(slow.Close)
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, func(s *config.Settings) {
			shortIdle(s)
			s.Upstreams = []string{slow.URL}
		})
		if status, got := send(t, client, http.MethodPost, a.url("/"), fakeimmich.Content(size)); status != http.StatusOK || got != fmt.Sprint(size) {
			t.Errorf("%d %s", status, got)
		}
	})
}

func TestImmichThatSendsNothingTimesOut(t *testing.T) {
	t.Parallel()
	stuck := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(stuck.Close)
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, func(s *config.Settings) {
			shortIdle(s)
			s.Upstreams = []string{stuck.URL}
		})
		response, err := client.Do(newRequest(t, http.MethodGet, a.url("/"), nil))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if text, err := io.ReadAll(response.Body); err == nil || string(text) != "the beginning" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// moreThanBuffers is more than all buffers between a client and Immich hold.
const moreThanBuffers = 32 << 20

func TestUploadToAnImmichThatStopsReadingEnds(t *testing.T) {
	t.Parallel()
	stuck := stuckImmich(t)
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, func(s *config.Settings) {
			shortIdle(s)
			s.Upstreams = []string{stuck}
		})
		status, answer := send(t, client, http.MethodPost, a.url("/api/assets"), fakeimmich.Content(moreThanBuffers))
		if status != http.StatusGatewayTimeout || !strings.Contains(answer, `"statusCode":504`) {
			t.Errorf("%d %s", status, answer)
		}
		a.log.Await(t, `msg="a request failed" status=504`)
		a.log.Await(t, "path=/api/assets protocol=")
	})
}

// stuckImmich returns the URL of an Immich that opens WebSockets, but neither reads a body nor sends anything.
func stuckImmich(t *testing.T) string {
	t.Helper()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn := switchProtocols(t, w)
			defer func() { _ = conn.Close() }()
		}
		<-ended
	}))
	t.Cleanup(func() {
		close(ended)
		server.Close()
	})
	return server.URL
}

func switchProtocols(t *testing.T, w http.ResponseWriter) net.Conn {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return nil
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	return conn
}

func TestSlowHeadersEnd(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) { s.Timeouts.Header = types.Duration(time.Second) })
	conn := a.dial(t, "http/1.1")
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: local"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection stays: %v", err)
	}
	if a.immich.Requests() != 0 {
		t.Error("half a request has reached Immich")
	}
}

func (o opened) socket(t *testing.T) *websocket.Conn {
	t.Helper()
	client := &http.Client{Transport: protocols["HTTP/1.1"](t)}
	conn, response, err := websocket.Dial(t.Context(), o.url("/api/socket.io/?EIO=4&transport=websocket"), &websocket.DialOptions{
		HTTPClient: client,
		HTTPHeader: http.Header{"X-Access-Key": {key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if response.Body != nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestIdleWebSocketEnds(t *testing.T) {
	t.Parallel()
	a := open(t, shortIdle)
	conn := a.socket(t)
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, echo, err := conn.Read(t.Context()); err != nil || string(echo) != "hello" {
		t.Fatalf("%q, %v", echo, err)
	}
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("it has not ended")
	}
	a.log.Await(t, "status=101")
	waitFor(t, "the socket to be closed", func() bool { return a.tracker.Sockets() == 0 })
}

// notReadingImmich returns the URL of an Immich that opens WebSockets and first only sends: so many messages, one every 100 ms.
// Then it reads what the client has sent, and confirms that it is complete.
func notReadingImmich(t *testing.T, messages int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn := switchProtocols(t, w)
		defer func() { _ = conn.Close() }()
		for range messages {
			time.Sleep(100 * time.Millisecond)
			_, _ = io.WriteString(conn, "message ")
		}
		if n, _ := io.CopyN(io.Discard, conn, moreThanBuffers); n == moreThanBuffers {
			_, _ = io.WriteString(conn, "complete")
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// floodWebSocket opens a WebSocket, and sends more on it than buffers hold.
func (o opened) floodWebSocket(t *testing.T) net.Conn {
	t.Helper()
	conn := o.dial(t, "http/1.1")
	_, err := io.WriteString(conn, "GET /api/socket.io/ HTTP/1.1\r\nHost: localhost\r\nX-Access-Key: "+key+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	readHead(t, conn)
	go func() { _, _ = io.Copy(conn, fakeimmich.Content(moreThanBuffers)) }()
	return conn
}

// TestDataKeepsWebSocketAlive has an Immich that sends for longer than timeouts.idle, without reading.
func TestDataKeepsWebSocketAlive(t *testing.T) {
	t.Parallel()
	const messages = 30
	a := open(t, func(s *config.Settings) {
		shortIdle(s)
		s.Upstreams = []string{notReadingImmich(t, messages)}
	})
	received, err := io.ReadAll(a.floodWebSocket(t))
	if err != nil || strings.Count(string(received), "message ") != messages || !strings.HasSuffix(string(received), "complete") {
		t.Errorf("%q, %v", received, err)
	}
}

func TestUnreadWebSocketEnds(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		shortIdle(s)
		s.Upstreams = []string{stuckImmich(t)}
	})
	a.floodWebSocket(t)
	a.log.Await(t, "status=101")
}

func TestClientThatDisconnectsIsLogged(t *testing.T) {
	t.Parallel()
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, func(s *config.Settings) { s.Log.Access = true })
		ctx, leave := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url("/api/server/slow?delay=1h&key=secret"), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Access-Key", key)
		defer leave()
		go func() {
			waitForRunning(ctx, a)
			leave()
		}()
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			t.Fatal("there is an answer")
		}
		a.log.Await(t, "status=499")
		a.log.Await(t, "key=phone")
		a.log.Await(t, "aborted=client")
		if strings.Contains(a.log.String(), "secret") {
			t.Errorf("the log contains a secret:\n%s", a.log)
		}
	})
}

func waitForRunning(ctx context.Context, a opened) {
	for a.immich.Requests() == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// TestRequestsPassAStalledUpload sends a request on the connection of an upload that Immich does not read.
func TestRequestsPassAStalledUpload(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	stalled := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-release
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}))
	t.Cleanup(stalled.Close)
	a := open(t, func(s *config.Settings) { s.Upstreams = []string{stalled.URL} })
	client := &http.Client{Transport: protocols["HTTP/2"](t)}

	const window = 12 << 20
	body, writer := io.Pipe()
	uploaded := make(chan int, 1)
	go func() {
		status, _ := send(t, client, http.MethodPost, a.url("/"), body)
		uploaded <- status
	}()
	if _, err := io.Copy(writer, fakeimmich.Content(window)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the proxy to have it", func() bool { return a.tracker.Received() > 0 })
	if status, _ := get(t, client, a.url("/")); status != http.StatusOK {
		t.Errorf("status %d", status)
	}

	close(release)
	if _, err := io.Copy(writer, fakeimmich.Content(window)); err != nil {
		t.Error(err)
	}
	_ = writer.Close()
	if status := <-uploaded; status != http.StatusOK {
		t.Errorf("the upload: status %d", status)
	}
}
