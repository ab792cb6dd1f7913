package app

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
)

func TestMetricsAndHealth(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) { s.Admin.Address = ":0" })
	client := &http.Client{Transport: protocols["HTTP/2"](t)}
	get(t, client, a.url("/api/server/ping"))
	waitFor(t, "the request to be counted", func() bool { return a.tracker.Running() == 0 })

	admin := "http://" + a.AdminAddr().String()
	_, shown := get(t, http.DefaultClient, admin+"/metrics")
	for _, line := range []string{
		`immichaccess_requests_total{status="200",key="phone",listener="https"} 1`,
		`immichaccess_sent_bytes_total 14`,
		`immichaccess_transfers_running 0`,
		`immichaccess_certificate_expiry_timestamp_seconds{name="localhost"}`,
		`immichaccess_upstream_healthy{upstream="` + a.settings.Upstreams[0] + `"} 1`,
	} {
		if !strings.Contains(shown, line) {
			t.Errorf("there is no %s in\n%s", line, shown)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _ := get(t, http.DefaultClient, admin+path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	a.stopping.Store(true)
	if status, _ := get(t, http.DefaultClient, admin+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("ready while stopping: %d", status)
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) { s.Log.Access = true })
	client := &http.Client{Transport: protocols["HTTP/1.1"](t)}
	_, shown := get(t, client, a.url("/share/the-secret-link?key=the-secret-key"))
	if strings.Contains(shown, ownKeyNameHeader) {
		t.Errorf("Immich gets to see our header: %s", shown)
	}
	a.log.Await(t, `msg=request client=127.0.0.1 key=phone method=GET path="/share/****?key=****" protocol=HTTP/1.1 status=200 received=0`)
	if strings.Contains(a.log.String(), "the-secret") {
		t.Errorf("the log contains a secret:\n%s", a.log)
	}
}

// TestBrowserIsKnownByItsKey sends the session cookie of a browser that has logged in.
func TestBrowserIsKnownByItsKey(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		s.Log.Access, s.Admin.Address, s.Access.BrowserLogin = true, ":0", true
	})
	client := &http.Client{Transport: protocols["HTTP/3"](t)}
	cookie := a.logIn(t, client)
	request := newRequest(t, http.MethodGet, a.url("/photos"), nil)
	request.Header = http.Header{"Cookie": {cookie}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	a.log.Await(t, "msg=request client=127.0.0.1 key=phone method=GET path=/photos protocol=HTTP/3.0 status=200")
	if _, shown := get(t, http.DefaultClient, "http://"+a.AdminAddr().String()+"/metrics"); !strings.Contains(shown, `immichaccess_requests_total{status="200",key="phone",listener="https"} 1`) {
		t.Error(shown)
	}
	if strings.Contains(a.log.String(), cookie) {
		t.Errorf("the log contains a secret:\n%s", a.log)
	}
}

// TestUploadWindow reads the windows that the server announces to an HTTP/2 client: 80 MB/s with a round trip of 100 ms need
// more than 8 MB in flight.
func TestUploadWindow(t *testing.T) {
	t.Parallel()
	const needed = 12 << 20
	a := open(t, unchanged)
	conn := a.dial(t, "h2")
	if _, err := io.WriteString(conn, http2Begins); err != nil {
		t.Fatal(err)
	}
	var stream, connection uint32
	for stream == 0 || connection == 0 {
		kind, payload := readFrame(t, conn)
		switch kind {
		case 4: // SETTINGS
			stream = max(stream, initialWindow(payload))
		case 8: // WINDOW_UPDATE
			connection = binary.BigEndian.Uint32(payload)
		}
	}
	const begins = 1<<16 - 1 // a connection's window, before it is enlarged
	if stream < needed || connection+begins < needed {
		t.Errorf("a stream may send %d bytes, a connection %d", stream, connection)
	}
}

func readFrame(t *testing.T, conn io.Reader) (kind byte, payload []byte) {
	t.Helper()
	head := make([]byte, 9)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatal(err)
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(conn, payload); err != nil {
		t.Fatal(err)
	}
	return head[3], payload
}

func initialWindow(settings []byte) uint32 {
	for ; len(settings) >= 6; settings = settings[6:] {
		if binary.BigEndian.Uint16(settings) == 4 { // SETTINGS_INITIAL_WINDOW_SIZE
			return binary.BigEndian.Uint32(settings[2:])
		}
	}
	return 0
}

func TestEarlyAnswerReachesASendingClient(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	client := &http.Client{Transport: protocols["HTTP/1.1"](t)}
	_, created := upload(t, client, a.url("/api/assets"), strings.NewReader("a photo"))
	if created == "" {
		t.Fatal("nothing was created")
	}
	checksum := a.immich.Uploads()[0].Checksum

	conn := a.dial(t, "http/1.1")
	_, _ = io.WriteString(conn, "POST /api/assets HTTP/1.1\r\nHost: localhost\r\nX-Access-Key: "+key+
		"\r\nX-Immich-Checksum: "+checksum+"\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000000\r\n\r\n--x\r\n")
	var answer struct{ Status string }
	readAnswer(t, conn, &answer)
	if answer.Status != "duplicate" {
		t.Fatalf("%+v", answer)
	}

	rest := 1_000_000 - len("--x\r\n")
	_, _ = io.WriteString(conn, strings.Repeat("x", rest)+"GET /api/server/ping HTTP/1.1\r\nHost: localhost\r\nX-Access-Key: "+key+"\r\n\r\n")
	var pong struct{ Res string }
	readAnswer(t, conn, &pong)
	if pong.Res != "pong" {
		t.Errorf("the connection is not kept: %+v", pong)
	}
}

// readAnswer reads one response, byte by byte, so that it reads nothing of the next.
func readAnswer(t *testing.T, conn io.Reader, into any) {
	t.Helper()
	readHead(t, conn)
	if err := json.NewDecoder(conn).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func readHead(t *testing.T, conn io.Reader) {
	t.Helper()
	head := &strings.Builder{}
	for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatalf("%v after %q", err, head)
		}
		_, _ = head.Write(b)
	}
}
