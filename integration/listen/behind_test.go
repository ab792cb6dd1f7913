package listen_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// The proxies in front, each started with its example.

func startNginx(t *testing.T, s *site, plain string) {
	t.Helper()
	server := harness.Example(t, "behind-a-proxy/nginx.conf",
		"listen 443 ssl", "listen "+s.front+" ssl",
		"/etc/letsencrypt/live/photos.example.com/fullchain.pem", s.file("cert.pem"),
		"/etc/letsencrypt/live/photos.example.com/privkey.pem", s.file("key.pem"),
		"127.0.0.1:8080", plain)
	harness.StartNginx(t, server, s.front)
}

func startCaddy(edits ...string) func(t *testing.T, s *site, plain string) {
	return func(t *testing.T, s *site, plain string) {
		t.Helper()
		_, port, _ := net.SplitHostPort(s.front)
		edits := append([]string{
			host + " {", "https://" + host + ":" + port + " {\n\tbind 127.0.0.1\n\ttls " + s.file("cert.pem") + " " + s.file("key.pem"),
			"127.0.0.1:8080", plain,
		}, edits...)
		config := s.write(t, "Caddyfile", "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n}\n"+harness.Example(t, "behind-a-proxy/Caddyfile", edits...))
		s.awaitListening(t, harness.Start(t, harness.BuildCaddy(t), "run", "--config", config, "--adapter", "caddyfile"), s.front)
	}
}

func startHAProxy(edits ...string) func(t *testing.T, s *site, plain string) {
	return func(t *testing.T, s *site, plain string) {
		t.Helper()
		edits := append([]string{":443", s.front, "/etc/haproxy/photos.example.com.pem", s.file("both.pem"), "127.0.0.1:8080", plain}, edits...)
		config := s.write(t, "haproxy.cfg", harness.Example(t, "behind-a-proxy/haproxy.cfg", edits...))
		s.awaitListening(t, harness.Start(t, harness.Tool(t, "haproxy"), "-db", "-f", config), s.front)
	}
}

func TestBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T, s *site, plain string){
		"nginx":             startNginx,
		"Caddy":             startCaddy(),
		"Caddy by HTTP/2":   startCaddy("reverse_proxy ", "reverse_proxy h2c://"),
		"HAProxy":           startHAProxy(),
		"HAProxy by HTTP/2": startHAProxy("\nbackend immichaccess\n", "\nbackend immichaccess\n  default-server proto h2 ws h1\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := harness.FreeAddress(t)
			s := newSite(t)
			s.run(t, plainExample, plain, "--listen.plain="+plain, "--access.browserLogin=true", "--access.maxUploadSize=8m", "--log.access=true")
			s.front = harness.FreeAddress(t)
			start(t, s, plain)
			for _, http2 := range []bool{false, true} {
				version := map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2]
				c := s.client(t, http2)
				t.Run(version+", client", func(t *testing.T) { seesTheClient(t, c, version) })
				t.Run(version+", secure cookie", func(t *testing.T) { getsASecureCookie(t, c) })
				t.Run(version+", upload of known length", func(t *testing.T) { streamsAnUpload(t, s, c, true) })
				t.Run(version+", upload of unknown length", func(t *testing.T) { streamsAnUpload(t, s, c, false) })
				t.Run(version+", upload over the limit", func(t *testing.T) { refusesAnUpload(t, c) })
			}
			if name != "Caddy by HTTP/2" { // which uses HTTP/2 for WebSockets, too
				t.Run("WebSocket", func(t *testing.T) { opensAWebSocket(t, s) })
			}
			if !strings.Contains(s.proxy.Log.String(), "client="+client) || !strings.Contains(s.proxy.Log.String(), "listener=plain") {
				t.Errorf("the log says\n%s", s.proxy.Log)
			}
		})
	}
}

// seesTheClient also sends spoofed headers.
func seesTheClient(t *testing.T, c *http.Client, version string) {
	request := newRequest(t, http.MethodGet, "/nothing", nil)
	request.Header.Set("X-Forwarded-For", "192.0.2.66")
	request.Header.Set("X-Forwarded-Proto", "http")
	request.Header.Set("X-Real-Ip", "192.0.2.66")
	seen := arrival(t, c, request)
	if got := seen.Headers.Get("X-Real-Ip"); got != client {
		t.Errorf("the client is %q", got)
	}
	if got := seen.Headers.Get("X-Forwarded-Proto"); got != "https" || seen.Host != host {
		t.Errorf("the scheme is %q, the host %q", got, seen.Host)
	}
	if chain := seen.Headers.Get("X-Forwarded-For"); !strings.HasPrefix(chain, client) {
		t.Errorf("the chain is %q", chain)
	}
	request = newRequest(t, http.MethodGet, "/nothing", nil)
	request.Header.Del("X-Access-Key")
	if response, body := send(t, c, request); response.StatusCode != http.StatusForbidden || !strings.HasPrefix(version, response.Proto[:len("HTTP/1")]) {
		t.Errorf("without a key: %s %s\n%s", response.Proto, response.Status, body)
	}
}

func getsASecureCookie(t *testing.T, c *http.Client) {
	request := newRequest(t, http.MethodPost, "/.immichaccess", strings.NewReader(url.Values{"key": {key}}.Encode()))
	request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {"https://" + host}, "Sec-Fetch-Site": {"same-origin"}}
	response, body := send(t, c, request)
	if cookies := response.Cookies(); len(cookies) != 1 || !cookies[0].Secure || !strings.HasPrefix(cookies[0].Name, "__Host-") {
		t.Errorf("%s, %v\n%s", response.Status, cookies, body)
	}
}

const form = "--x\r\nContent-Disposition: form-data; name=\"assetData\"; filename=\"a.jpg\"\r\n\r\n"

// streamsAnUpload sends more than nginx accepts by default. It sends the end when Immich has the beginning.
func streamsAnUpload(t *testing.T, s *site, c *http.Client, known bool) {
	const size = 4 << 20
	name := strings.ReplaceAll(t.Name(), "/", " ")
	begin := strings.Replace(form, "a.jpg", name, 1) + strings.Repeat("b", 64<<10)
	end := strings.Repeat("e", size) + name + "\r\n--x--\r\n"
	body, sending := io.Pipe()
	request := newRequest(t, http.MethodPost, "/api/assets", body)
	request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	if known {
		request.ContentLength = int64(len(begin) + len(end))
	}
	ended := make(chan error, 1)
	go func() {
		response, err := c.Do(request)
		if err == nil {
			answer, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				err = fmt.Errorf("%s: %s", response.Status, answer)
			}
		}
		ended <- err
	}()
	if _, err := io.WriteString(sending, begin); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.immich.Await(ctx, func(u fakeimmich.Upload) bool { return u.Filename == name }); err != nil {
		t.Errorf("nothing has reached Immich: %v", err)
	}
	go func() {
		_, _ = io.WriteString(sending, end)
		_ = sending.Close()
	}()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := s.immich.Await(ctx, func(u fakeimmich.Upload) bool { return u.Filename == name && u.Complete && u.Size > size }); err != nil {
		t.Errorf("the upload is not whole: %+v", s.immich.Uploads())
	}
}

// refusesAnUpload requires that the client gets the reason, not just a closed connection. HAProxy closes the connection of a
// client that is still sending, which may notice that before the response, so there are several tries.
func refusesAnUpload(t *testing.T, c *http.Client) {
	var response *http.Response
	var err error
	for range 10 {
		request := newRequest(t, http.MethodPost, "/api/assets", bytes.NewReader(make([]byte, 9<<20)))
		request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		if response, err = c.Do(request); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(response.Status)
	}
}

func opensAWebSocket(t *testing.T, s *site) {
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	socket, response, err := websocket.Dial(ctx, "https://"+host+"/api/socket.io/?transport=websocket&EIO=4",
		&websocket.DialOptions{HTTPClient: s.client(t, false), HTTPHeader: http.Header{"X-Access-Key": {key}}})
	if err != nil {
		t.Fatalf("%v, %+v", err, response)
	}
	defer func() { _ = socket.CloseNow() }()
	for _, message := range []string{"2probe", strings.Repeat("long", 5000)} {
		if err := socket.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, echo, err := socket.Read(ctx); err != nil || string(echo) != message {
			t.Fatalf("%d bytes come back, %v", len(echo), err)
		}
	}
}

// TestExamplesAreQuoted requires that the documentation shows the files that the tests run.
func TestExamplesAreQuoted(t *testing.T) {
	t.Parallel()
	for page, folder := range map[string]string{"behind-a-proxy.md": "behind-a-proxy", "relay.md": "relay", "home-and-away.md": "home-and-away"} {
		text, err := os.ReadFile(filepath.Join("../../docs", page))
		if err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join("../../examples", folder, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has %d files, %v", folder, len(files), err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "\n"+string(content)+"```\n") {
				t.Errorf("docs/%s does not quote %s as it is", page, file)
			}
		}
	}
}
