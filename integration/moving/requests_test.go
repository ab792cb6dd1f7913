package moving_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// request is sent to both proxies of a pair.
type request struct {
	name    string
	method  string // GET if empty
	path    string // /photos if empty
	host    string // harness.Domain if empty
	auth    auth
	headers []string // lines
	body    string
	chunked bool
	expects bool // waits for 100 Continue
	socket  bool // a message goes back and forth
	from    string
	plain   bool   // over plain HTTP
	notTo   string // the pair that is left out

	id      string
	arrived func() bool // in the middle of a chunked body, wait for this; nil if the proxy forwards only whole bodies
}

// auth is what a request has of what the pair asks for.
type auth int

const (
	right auth = iota
	wrong
	none
)

const asset = "/api/assets/00000000-0000-4000-8000-000000000000/original"

var webSocket = []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}

var requests = []request{
	{name: "with the key"},
	{name: "without a key", auth: none},
	{name: "wrong key", auth: wrong},
	{name: "name of the header in lower case", auth: none, headers: []string{"x-access-key: " + key}},
	{name: "blanks around the key", auth: none, headers: []string{"X-Access-Key:   " + key + "  "}},
	{
		name: "key and wrong key", auth: none, headers: []string{"X-Access-Key: " + key, "X-Access-Key: wrong"},
		notTo: "nginx with a key", // where the first one counts, and from 1.23 on none
	},
	{name: "Basic with another user", auth: none, headers: []string{basic("anybody", key)}},
	{name: "from home without a key", auth: none, from: atHome},
	{name: "from home with a session of Immich's", auth: none, from: atHome, headers: []string{"Authorization: Bearer session"}},
	{name: "session of Immich's without a key", auth: none, headers: []string{"Authorization: Bearer session"}},
	{name: "browser without a key", auth: none, headers: []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}},

	{name: "POST", method: "POST", path: "/api/albums", headers: []string{"Content-Type: application/json"}, body: `{"a":1}`},
	{name: "POST without a key", auth: none, method: "POST", path: "/api/albums", body: `{"a":1}`},
	{name: "PUT", method: "PUT", body: `{"a":1}`},
	{name: "DELETE", method: "DELETE", body: `{"ids":[]}`},
	{name: "DELETE without a body", method: "DELETE"},
	{name: "PATCH", method: "PATCH", body: "{}"},
	{name: "OPTIONS", method: "OPTIONS", headers: []string{"Origin: https://other.example.com", "Access-Control-Request-Method: PUT"}},
	{name: "HEAD", method: "HEAD"},
	{name: "HEAD without a key", auth: none, method: "HEAD"},

	{name: "upload", method: "POST", path: "/api/assets", body: form(100_000)},
	{name: "chunked upload", method: "POST", path: "/api/assets", body: form(100_001), chunked: true},
	{name: "upload of the limit's size", method: "POST", path: "/photos", body: strings.Repeat("x", limit)},
	{name: "upload over the limit", method: "POST", path: "/api/assets", body: form(limit)},
	{name: "chunked upload over the limit", method: "POST", path: "/api/assets", body: form(2 * limit), chunked: true},
	{name: "upload without a key", auth: none, method: "POST", path: "/api/assets", body: form(100_002)},
	{name: "Expect: 100-continue", method: "POST", path: "/api/assets", body: form(100_003), expects: true},
	{
		name: "Expect: 100-continue without a key", auth: none, method: "POST", path: "/api/assets", body: form(100_004), expects: true,
		notTo: "Caddy", // which waits for the body for a minute before it denies the request
	},

	{name: "download of 8 MB", path: asset + "?size=8000000"},
	{name: "Range", path: asset + "?size=8000000", headers: []string{"Range: bytes=7000000-7000099"}},
	{name: "download of unknown length", path: "/streamed"},
	{name: "WebSocket", path: "/api/socket.io/?EIO=4&transport=websocket", headers: webSocket, socket: true},
	{name: "WebSocket without a key", auth: none, path: "/api/socket.io/?EIO=4&transport=websocket", headers: webSocket},

	{name: "redirect to the upstream's own address", path: "/redirect"},
	{name: "relative redirect", path: "/relative-redirect"},
	{name: "error of Immich's", path: "/failure"},
	{name: "Immich closes the connection", path: "/closes"},

	{name: "forged X-Forwarded-For", headers: []string{"X-Forwarded-For: 192.0.2.66", "X-Real-IP: 192.0.2.66"}},
	{name: "forged X-Forwarded-Proto", headers: []string{"X-Forwarded-Proto: http"}},
	{name: "forged X-Forwarded-Host", headers: []string{"X-Forwarded-Host: evil.example.com", "X-Forwarded-Port: 81", "X-Forwarded-Prefix: /a"}},
	{name: "forged Forwarded", headers: []string{"Forwarded: for=192.0.2.66;proto=http"}},
	{name: "forged with underscores", headers: []string{"X_Forwarded_For: 192.0.2.66", "X_Real_IP: 192.0.2.66"}},
	{name: "forged X-Auth-User", headers: []string{"X-Auth-User: admin"}},
	{name: "headers of a browser", headers: []string{
		"User-Agent: Mozilla/5.0", "Accept-Encoding: gzip, deflate, br", "Cookie: immich_access_token=a; immich_auth_type=password",
		"Referer: https://photos.example.com/", "x-api-key: b", "TE: trailers",
	}},

	{name: "query", path: "/photos?a=b&c=%20%2F;d&e=+&key=share"},
	{name: "empty query", path: "/photos?"},
	{name: "encoded path", path: "/photos/%C3%A4/a%20b"},
	{name: "encoded slash", path: "/photos/a%2Fb"},
	{name: "two slashes", path: "//photos//a"},
	{name: "dots", path: "/photos/../a/./b"},
	{name: "semicolon", path: "/photos;a=b/c"},
	{name: "other host", host: "other.example.com"},
	{name: "plain HTTP", plain: true, path: "/photos?a=b"},
}

func form(size int64) string {
	text, _ := io.ReadAll(harness.Form("a.jpg", size)) // from memory
	return string(text)
}

// send returns what a client sees.
func (s site) send(t *testing.T, r request) facts {
	t.Helper()
	conn := s.dial(t, r)
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(harness.Patience))
	reader := bufio.NewReader(conn)
	seen := facts{"status": "none"}
	if _, err := io.WriteString(conn, r.head()); err != nil {
		return seen // the proxy closes the connection
	}
	sent := make(chan struct{})
	if r.expects {
		close(sent)
	} else {
		go func() {
			defer close(sent)
			r.sendBody(conn)
		}()
	}
	response, err := s.receive(conn, reader, r, seen)
	if err == nil {
		seen.note(response, r, conn, reader)
		_ = response.Body.Close()
	}
	_ = conn.Close()
	<-sent
	return seen
}

func (s site) dial(t *testing.T, r request) net.Conn {
	t.Helper()
	dialer := &net.Dialer{Timeout: harness.Patience}
	if r.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(r.from)}
	}
	address := s.https
	if r.plain {
		address = s.http
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if r.plain {
		return conn
	}
	config := harness.AnyCertificate("http/1.1")
	config.ServerName = harness.Domain
	return tls.Client(conn, config)
}

// receive returns the final response, and notes interim ones.
func (s site) receive(conn net.Conn, reader *bufio.Reader, r request, seen facts) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: r.method})
		if err != nil || response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, err
		}
		seen["interim"] = response.Status // that it comes twice, from the proxy and from Immich, is allowed
		if response.StatusCode == http.StatusContinue && r.expects {
			r.sendBody(conn)
		}
	}
}

func (r request) head() string {
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", r.method, r.path, r.host, idHeader, r.id)
	for _, line := range r.headers {
		head.WriteString(line + "\r\n")
	}
	if r.body != "" {
		if r.path == "/api/assets" {
			head.WriteString("Content-Type: " + harness.FormType + "\r\n")
		}
		if r.expects {
			head.WriteString("Expect: 100-continue\r\n")
		}
		if r.chunked {
			head.WriteString("Transfer-Encoding: chunked\r\n")
		} else {
			fmt.Fprintf(&head, "Content-Length: %d\r\n", len(r.body))
		}
	}
	return head.String() + "\r\n"
}

// sendBody ends early if the proxy closes the connection.
func (r request) sendBody(to io.Writer) {
	if !r.chunked {
		_, _ = io.WriteString(to, r.body)
		return
	}
	const piece = 64 << 10
	for rest := r.body; rest != ""; rest = rest[min(piece, len(rest)):] {
		part := rest[:min(piece, len(rest))]
		if _, err := fmt.Fprintf(to, "%x\r\n%s\r\n", len(part), part); err != nil {
			return
		}
		if len(rest) == len(r.body) && r.arrived != nil && !harness.Eventually(r.arrived) {
			return
		}
	}
	_, _ = io.WriteString(to, "0\r\n\r\n")
}

// note adds what is to be seen of the response.
func (f facts) note(response *http.Response, r request, conn net.Conn, reader io.Reader) {
	f["status"] = fmt.Sprint(response.StatusCode)
	for name, values := range response.Header {
		f["header "+name] = strings.Join(values, " | ")
	}
	f["length"] = fmt.Sprint(response.ContentLength)
	if response.Close {
		f["connection"] = "closed"
	}
	delete(f, "header Content-Length")
	delete(f, "header Date")
	if strings.EqualFold(f["header Connection"], "keep-alive") { // which HTTP/1.1 need not say
		delete(f, "header Connection")
	}
	if r.socket && response.StatusCode == http.StatusSwitchingProtocols {
		f["body"] = echo(conn, reader)
		return
	}
	body, err := io.ReadAll(response.Body)
	f["body"] = describe(body)
	if err != nil {
		f["body"] += ", then " + err.Error()
	}
}

// echo sends a WebSocket message and returns the frame that comes back.
func echo(conn net.Conn, reader io.Reader) string {
	frame := []byte("\x81\x85\x00\x00\x00\x00hello") // masked with zeros
	answer := make([]byte, len("\x81\x05hello"))
	if _, err := conn.Write(frame); err != nil {
		return err.Error()
	}
	if _, err := io.ReadFull(reader, answer); err != nil {
		return err.Error()
	}
	return string(answer)
}

func describe(body []byte) string {
	const readable = 1000
	if len(body) <= readable {
		return string(body)
	}
	return fmt.Sprintf("%d bytes, %x", len(body), sha256.Sum256(body))
}
