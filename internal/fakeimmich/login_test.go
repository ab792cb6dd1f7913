package fakeimmich

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func startWithLogin(t *testing.T) (log *bytes.Buffer, url string) {
	t.Helper()

	log = &bytes.Buffer{}
	server := httptest.NewServer(NewWithLogin(log))
	t.Cleanup(server.Close)

	return log, server.URL
}

func TestAsksForALogin(t *testing.T) {
	t.Parallel()

	_, url := startWithLogin(t)
	json := http.Header{"Content-Type": {"application/json"}}

	for name, test := range map[string]struct {
		method, uri string
		header      http.Header
		body        string
		status      int
		message     string
	}{
		"public":           {http.MethodGet, "/api/server/ping", nil, "", 200, "pong"},
		"discovery":        {http.MethodGet, "/.well-known/immich", nil, "", 200, "/api"},
		"a thumbnail":      {http.MethodGet, "/api/assets/00000000-0000-4000-8000-000000000000/thumbnail", nil, "", 401, "Authentication required"},
		"an upload":        {http.MethodPost, "/api/assets", nil, "x", 401, "Authentication required"},
		"a change":         {http.MethodPut, "/api/assets", json, `{"ids":[]}`, 401, "Authentication required"},
		"too much JSON":    {http.MethodPost, "/api/assets", json, `"` + strings.Repeat("x", 11<<20) + `"`, 413, "request entity too large"},
		"no JSON":          {http.MethodPost, "/api/assets", json, `{`, 400, ""},
		"an unknown link":  {http.MethodGet, "/api/shared-links/me?key=x", nil, "", 401, "Invalid share key"},
		"an unknown route": {http.MethodGet, "/api/nothing", nil, "", 404, "Cannot GET /api/nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			response, body := do(t, test.method, url+test.uri, test.header, strings.NewReader(test.body))
			if response.StatusCode != test.status || !strings.Contains(body, test.message) {
				t.Errorf("answered %s: %s", response.Status, body)
			}
			if hasID := response.Header.Get("X-Immich-Cid") != ""; hasID != (test.status >= 400) {
				t.Errorf("a correlation ID: %v", hasID)
			}
		})
	}
}

func TestRefusesUploadsBeforeTheirBody(t *testing.T) {
	t.Parallel()

	_, url := startWithLogin(t)
	conn := dial(t, url)

	conn.send(t, "POST /api/assets HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
	if response, _ := conn.receive(t); response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("answered %s", response.Status)
	}

	conn.send(t, "67890GET /api/server/ping HTTP/1.1\r\nHost: x\r\n\r\n")
	if response, _ := conn.receive(t); response.StatusCode != http.StatusOK {
		t.Errorf("the connection is not kept: %s", response.Status)
	}
}

func TestWaitsForJSON(t *testing.T) {
	t.Parallel()

	_, url := startWithLogin(t)
	conn := dial(t, url)

	conn.send(t, "POST /api/assets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntr")
	conn.send(t, "ue")
	if response, _ := conn.receive(t); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %s", response.Status)
	}
}

func TestLogsFailedLogins(t *testing.T) {
	t.Parallel()

	for forwarded, want := range map[string]string{
		"":                         "127.0.0.1",
		"203.0.113.7":              "203.0.113.7",
		"192.0.2.1, 203.0.113.7":   "203.0.113.7", // what a client claims is ignored
		"203.0.113.7, 192.168.1.2": "203.0.113.7", // behind two proxies
		"192.168.1.2":              "192.168.1.2",
	} {
		log, url := startWithLogin(t)
		header := http.Header{"Content-Type": {"application/json"}}
		if forwarded != "" {
			header.Set("X-Forwarded-For", forwarded)
		}

		response, _ := do(t, http.MethodPost, url+"/api/auth/login", header, strings.NewReader(`{"email":"a@b.c","password":"x"}`))
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("answered %s", response.Status)
		}
		if line := "Failed login attempt for user a@b.c from ip address " + want + "\n"; !strings.HasSuffix(log.String(), line) {
			t.Errorf("%q: logged %s", forwarded, log)
		}
	}
}

func TestEngineIO(t *testing.T) {
	t.Parallel()

	_, url := startWithLogin(t)

	for uri, code := range map[string]int{"?EIO=4&transport=polling": 0, "?EIO=4&transport=websocket": 3} {
		response, body := get(t, url+"/api/socket.io/"+uri, nil)
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"code":`+strconv.Itoa(code)) {
			t.Errorf("%s: %s: %s", uri, response.Status, body)
		}
	}

	conn, _, err := websocket.Dial(t.Context(), url+"/api/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()

	expectPacket(t, conn, `0{"sid"`)
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("40")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"40{", "42[", "41"} {
		expectPacket(t, conn, want)
	}
}

func expectPacket(t *testing.T, conn *websocket.Conn, prefix string) {
	t.Helper()

	if _, packet, err := conn.Read(t.Context()); err != nil || !strings.HasPrefix(string(packet), prefix) {
		t.Errorf("%s, %v; want %s", packet, err, prefix)
	}
}

func TestPreviewHasTheAddress(t *testing.T) {
	t.Parallel()

	_, url := startWithLogin(t)

	_, body := get(t, url+SharedLink, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"photos.example.com"}})
	if !strings.Contains(body, `content="https://photos.example.com/`) {
		t.Error(body)
	}
	if _, body = get(t, url+SharedLink, nil); !strings.Contains(body, `content="`+url) {
		t.Error(body)
	}
}
