package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/traefik/paerser/types"
)

const patience = time.Minute

// rawUpstream serves connections without net/http.
type rawUpstream struct {
	url   string
	heads chan string // of the requests, sorted
	conns chan net.Conn
}

// startUpstream responds to each request on a connection as answer does; the connection ends if that returns false.
func startUpstream(t *testing.T, answer func(conn net.Conn, n int) bool) *rawUpstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u := &rawUpstream{"http://" + l.Addr().String(), make(chan string, 100), make(chan net.Conn, 100)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			u.conns <- conn
			go u.serve(conn, answer)
		}
	}()
	return u
}

func (u *rawUpstream) serve(conn net.Conn, answer func(conn net.Conn, n int) bool) {
	defer func() { _ = conn.Close() }()
	buffered := bufio.NewReader(conn)
	reader := textproto.NewReader(buffered)
	for n := 0; ; n++ {
		first, err := reader.ReadLine()
		if err != nil {
			return
		}
		header, err := reader.ReadMIMEHeader()
		if err != nil {
			return
		}
		lines := []string{first}
		for _, name := range slices.Sorted(maps.Keys(header)) {
			for _, value := range header[name] {
				lines = append(lines, name+": "+value)
			}
		}
		if header["Transfer-Encoding"] != nil {
			_, _ = io.CopyN(io.Discard, buffered, int64(len("0\r\n\r\n")))
		}
		u.heads <- strings.Join(lines, "\n")
		if !answer(conn, n) {
			return
		}
	}
}

func always(text string) func(net.Conn, int) bool {
	return func(conn net.Conn, _ int) bool {
		_, err := io.WriteString(conn, text)
		return err == nil
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func newProxy(t *testing.T, upstreams ...string) *Proxy {
	t.Helper()
	return newIdleProxy(t, time.Hour, upstreams...)
}

// newIdleProxy returns a Proxy with that idle timeout.
func newIdleProxy(t *testing.T, idle time.Duration, upstreams ...string) *Proxy {
	t.Helper()
	settings := &config.Settings{Upstreams: upstreams}
	settings.Timeouts.Idle, settings.Timeouts.Upstream = types.Duration(idle), types.Duration(time.Hour)
	return New(t.Context(), settings, slog.New(slog.DiscardHandler))
}

// bothWays returns a server that uses the forwarder, and one that passes all requests to httputil.ReverseProxy.
func bothWays(t *testing.T, upstream string) map[string]*httptest.Server {
	t.Helper()
	f, isForwarder := newProxy(t, upstream).Handler.(*forwarder)
	if !isForwarder {
		t.Fatal("it does not use the forwarder")
	}
	servers := map[string]*httptest.Server{
		"forwarder":    httptest.NewServer(f),
		"ReverseProxy": httptest.NewServer(f.withoutType()),
	}
	for _, server := range servers {
		t.Cleanup(server.Close)
	}
	return servers
}

// withoutType is ReverseProxy, with responses that have no Content-Type unless Immich sets one: else net/http guesses it, or not,
// depending on who is faster.
func (f *forwarder) withoutType() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		f.general.ServeHTTP(w, r)
	})
}

// send writes a raw request, and returns all that is received until the server closes, without the date.
func send(t *testing.T, server *httptest.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("%v after %q", err, answer)
	}
	return sortHead(string(answer))
}

// sortHead sorts the headers of a response, and removes the date.
func sortHead(answer string) string {
	head, body, _ := strings.Cut(date.ReplaceAllString(answer, "\r\n"), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

var date = regexp.MustCompile(`\r\nDate: [^\r]*\r\n`)

// TestRequestsAreThoseOfReverseProxy compares what Immich receives.
func TestRequestsAreThoseOfReverseProxy(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always(ok))
	servers := bothWays(t, u.url)
	for name, head := range map[string]string{
		"bare":                   "GET / HTTP/1.1\r\nHost: photos.example.com\r\n",
		"HEAD":                   "HEAD /api/assets/1 HTTP/1.1\r\nHost: photos.example.com\r\n",
		"query":                  "GET /a%2Fb/%20c?x=1&y=%zz;z&& HTTP/1.1\r\nHost: photos.example.com\r\n",
		"empty query":            "GET /a? HTTP/1.1\r\nHost: photos.example.com\r\n",
		"double slash":           "GET //evil.example.com/a HTTP/1.1\r\nHost: photos.example.com\r\n",
		"absolute":               "GET http://photos.example.com/a?b HTTP/1.1\r\nHost: other.example.com\r\n",
		"opaque":                 "GET http:a?b HTTP/1.1\r\nHost: other.example.com\r\n",
		"IPv6 host":              "GET / HTTP/1.1\r\nHost: [::1]:8443\r\n",
		"host with a zone":       "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]:8443\r\n",
		"headers":                "GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\r\nCookie: a=b; c=d\r\nX-Two: 1\r\nX-Two: 2\r\nX-Empty:\r\nx-lower: x\r\nX_score: 1\r\n",
		"blanks":                 "GET / HTTP/1.1\r\nHost: x\r\nX-Blank:  \t a  b \t\r\n",
		"folded":                 "GET / HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\n",
		"connection":             "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-One,x-two , X_three\r\nKeep-Alive: 5\r\nX-One: 1\r\nX-Two: 2\r\nX_three: 3\r\nX-Four: 4\r\n",
		"two of connection":      "GET / HTTP/1.1\r\nHost: x\r\nConnection: X-One\r\nConnection: X-Two\r\nX-One: 1\r\nX-Two: 2\r\nX-Four: 4\r\n",
		"hop by hop":             "GET / HTTP/1.1\r\nHost: x\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nTrailer: X-Trailer\r\n",
		"te":                     "GET / HTTP/1.1\r\nHost: x\r\nTE: gzip;q=0.5, Trailers\r\nConnection: TE\r\n",
		"other te":               "GET / HTTP/1.1\r\nHost: x\r\nTE: gzip\r\n",
		"no length":              "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n",
		"forwarding headers":     "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-For: 192.0.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: x\r\nX-Forwarded-Port: 1\r\nX-Real-Ip: 192.0.2.1\r\n",
		"empty user agent":       "GET / HTTP/1.1\r\nHost: x\r\nUser-Agent:\r\n",
		"range":                  "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nIf-None-Match: \"x\"\r\n",
		"expect":                 "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n",
		"accept-encoding":        "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n",
		"upgrade":                "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
		"HTTP/1.0":               "GET / HTTP/1.0\r\nHost: x\r\n",
		"HTTP/1.0 without Host":  "GET / HTTP/1.0\r\n",
		"chunked, but no chunks": "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
	} {
		body := ""
		if strings.Contains(head, "chunked") {
			body = "0\r\n\r\n"
		}
		got := map[string]string{}
		for way, server := range servers {
			if answer := send(t, server, closing(head)+"\r\n"+body); !strings.HasPrefix(answer, "HTTP/1.1 400") {
				got[way] = <-u.heads
			}
		}
		if got["forwarder"] != got["ReverseProxy"] {
			t.Errorf("%s: Immich gets\n%s\ninstead of\n%s", name, got["forwarder"], got["ReverseProxy"])
		}
	}
}

// closing has the server close the connection after its response.
func closing(head string) string {
	if strings.Contains(head, "\r\nConnection: ") {
		return strings.Replace(head, "\r\nConnection: ", "\r\nConnection: close, ", 1)
	}
	return head + "Connection: close\r\n"
}

// TestResponsesAreThoseOfReverseProxy compares what the client receives.
func TestResponsesAreThoseOfReverseProxy(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"length":               ok,
		"headers":              "HTTP/1.1 404 Nothing here\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nServer: x\r\nAlt-Svc: y\r\nlocation: /a\r\n\r\nno",
		"chunks":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n3\r\ncde\r\n0\r\n\r\n",
		"trailers":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n",
		"unannounced trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n",
		"until it closes":      "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall there is",
		"HTTP/1.0":             "HTTP/1.0 200 OK\r\n\r\nall there is",
		"empty":                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"no content":           "HTTP/1.1 204 No Content\r\n\r\n",
		"not modified":         "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nEtag: x\r\n\r\n",
		"partial":              "HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\nContent-Range: bytes 0-1/3\r\n\r\nab",
		"hop by hop":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-One, keep-alive\r\nKeep-Alive: timeout=5\r\nX-One: 1\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nX-Two: 2\r\n\r\nok",
		"early hints": "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: a/b\r\n\r\nok", // without a type, ReverseProxy sometimes has it guessed after a 1xx
		"large head":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Large: " + strings.Repeat("x", 100<<10) + "\r\n\r\nok",
		"unasked-for upgrade":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"not HTTP":               "SSH-2.0-OpenSSH\r\n\r\n",
		"nothing":                "",
		"half a body":            "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf",
		"half a chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
		"a broken chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nxyz\r\n",
		"a head without an end":  "HTTP/1.1 200 OK\r\nX-Endless: " + strings.Repeat("x", maxResponseHead),
		"interim without an end": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20),
	}
	for name, answer := range wholeResponses {
		answers["whole: "+name] = answer
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startUpstream(t, func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, answer)
				return false
			})
			servers := bothWays(t, u.url)
			for _, method := range []string{"GET", "HEAD"} {
				got := map[string]string{}
				for way, server := range servers {
					got[way] = send(t, server, method+" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				}
				if got["forwarder"] != got["ReverseProxy"] {
					t.Errorf("%s: the client gets\n%.1000q\ninstead of\n%.1000q", method, got["forwarder"], got["ReverseProxy"])
				}
			}
		})
	}
}

// TestInterimResponsesLoseHopByHopHeaders checks what the client receives before the response.
func TestInterimResponsesLoseHopByHopHeaders(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-One\r\nX-One: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\r\n"+ok))
	for way, server := range bothWays(t, u.url) {
		for _, request := range []string{"GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 0\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"} {
			body := ""
			if strings.Contains(request, "chunked") {
				body = "0\r\n\r\n"
			}
			got := send(t, server, request+"Host: x\r\nConnection: close\r\n\r\n"+body)
			if want := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"; !strings.HasPrefix(got, want) {
				t.Errorf("%s, %.5s: %q", way, request, got)
			}
		}
	}
}

// TestHTTP2IsForwardedDirectly checks what the comparisons can't: that the forwarder is used.
func TestHTTP2IsForwardedDirectly(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always(ok))
	f := newProxy(t, u.url).Handler.(*forwarder)
	f.general = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s is left to ReverseProxy", r.Proto) })
	server := httptest.NewUnstartedServer(f)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	response, err := server.Client().Get(server.URL) //nolint:noctx // it need not be canceled
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "ok" || response.ProtoMajor != 2 {
		t.Errorf("%s: %q, %v", response.Proto, body, err)
	}
}

// serveAsks returns a function that sends GETs on one connection of a client.
func serveAsks(t *testing.T, u *rawUpstream) func() (string, error) {
	t.Helper()
	server := httptest.NewServer(newProxy(t, u.url))
	t.Cleanup(server.Close)
	return func() (string, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			return "", err
		}
		response, err := server.Client().Do(request)
		if err != nil {
			return "", err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		return fmt.Sprint(response.StatusCode, " ", string(body)), err
	}
}

func TestConnectionsToImmichAreReused(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always(ok))
	ask := serveAsks(t, u)
	for range 20 {
		if got, err := ask(); got != "200 ok" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if len(u.conns) != 1 {
		t.Errorf("there were %d connections", len(u.conns))
	}
}

// TestConnectionThatImmichHasClosed does not fail a request, whenever the connection was closed.
func TestConnectionThatImmichHasClosed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(net.Conn, int) bool{
		"after a response":   func(conn net.Conn, _ int) bool { _, _ = io.WriteString(conn, ok); return false },
		"with the next head": func(conn net.Conn, n int) bool { return n == 0 && always(ok)(conn, n) },
		"and announced it": func(conn net.Conn, _ int) bool {
			_, _ = io.WriteString(conn, strings.Replace(ok, "\r\n", "\r\nConnection: close\r\n", 1))
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := serveAsks(t, startUpstream(t, answer))
			for range 10 {
				if got, err := ask(); got != "200 ok" || err != nil {
					t.Fatalf("%q, %v", got, err)
				}
			}
		})
	}
}

// TestUnrequestedResponse must not be used for the next request.
func TestUnrequestedResponse(t *testing.T) {
	t.Parallel()
	const foreign = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		ask := serveAsks(t, startUpstream(t, always(ok+foreign)))
		for range 10 {
			if got, err := ask(); got != "200 ok" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		u := startUpstream(t, always(ok))
		ask := serveAsks(t, u)
		for range 10 {
			if got, err := ask(); got != "200 ok" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			if _, err := io.WriteString(<-u.conns, foreign); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestPiecesArriveAsTheyCome has an Immich that sends the next piece of its response when the client has the previous one.
func TestPiecesArriveAsTheyCome(t *testing.T) {
	t.Parallel()
	for name, pieces := range map[string][]string{
		"length": {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "a", "b", "c"},
		"chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "1\r\nb\r\n", "1\r\nc\r\n0\r\n\r\n"},
		"half a chunk with the head": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", "\r\na\r\n", "1\r\nb\r\n1\r", "\nc\r\n0\r\n\r\n",
		},
		"until it closes": {"HTTP/1.1 200 OK\r\n\r\n", "a", "b", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := make(chan string, 1)
			u := startUpstream(t, func(conn net.Conn, _ int) bool {
				for piece := range next {
					_, _ = io.WriteString(conn, piece)
				}
				return false
			})
			server := httptest.NewServer(newProxy(t, u.url))
			t.Cleanup(server.Close)
			next <- pieces[0]
			response, err := server.Client().Get(server.URL) //nolint:noctx // it need not be canceled
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			for i, piece := range pieces[1:] {
				next <- piece
				got := make([]byte, 1)
				if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != string("abc"[i]) {
					t.Fatalf("%q, %v", got, err)
				}
			}
			close(next)
			if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// TestShortChunkedResponseIsNotFlushed lets net/http set its length, since it has all of it.
func TestShortChunkedResponseIsNotFlushed(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"))
	got := send(t, bothWays(t, u.url)["forwarder"], "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if want := "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde"; got != want {
		t.Errorf("%q", got)
	}
}

func TestLastChunk(t *testing.T) {
	t.Parallel()
	for chunks, want := range map[string]bool{
		"":                                    false,
		"0\r\n\r\n":                           true,
		"0\r\n":                               false,
		"0\r\nX-Sum: 1\r\n\r\n":               false,
		"3\r\nabc\r\n0\r\n\r\n":               true,
		"3\r\nabc\r\na\r\n0123456789\r\n":     false,
		"3\r\nabc\r\nA\r\n0\r\n\r\n0\r\n\r\n": false, // the content of the second looks like a last chunk
		"ff\r\n\r\n0\r\n\r\n":                 false,
		"3\r\nabcd\r\n0\r\n\r\n":              false,
		"-1\r\n0\r\n\r\n":                     false,
		"ffffffffffffffff\r\n0\r\n\r\n":       false,
	} {
		if got := hasLastChunk([]byte(chunks)); got != want {
			t.Errorf("%q: %v", chunks, got)
		}
	}
}

// TestClientThatDisconnectsFreesImmich disconnects while waiting for a response, and during one.
func TestClientThatDisconnectsFreesImmich(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"waiting": "", "reading": "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := make(chan error, 1)
			u := startUpstream(t, func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, answer)
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				_, err := conn.Read(make([]byte, 1))
				left <- err
				return false
			})
			server := httptest.NewServer(newProxy(t, u.url))
			t.Cleanup(server.Close)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			var asked sync.WaitGroup
			asked.Go(func() {
				request, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				if response, err := server.Client().Do(request); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			})
			<-u.heads
			leave()
			asked.Wait()
			var timeout net.Error
			if err := <-left; err == nil || errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("Immich reads %v", err)
			}
		})
	}
}

// TestIdleConnectionsEnd checks that they end before Immich would close them.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always(ok))
	ask := serveAsks(t, u)
	if got, err := ask(); got != "200 ok" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	conn := <-u.conns
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for { // the upstream reads as well, and closes at EOF
			if _, err := conn.Write(nil); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("it stays")
	}
}

// TestConnectionsEndWithTheProxy asks again when it has ended: no connection is kept for the next request.
func TestConnectionsEndWithTheProxy(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always(ok))
	settings := &config.Settings{Upstreams: []string{u.url}}
	settings.Timeouts.Idle, settings.Timeouts.Upstream = types.Duration(time.Hour), types.Duration(time.Hour)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	p := New(ctx, settings, slog.New(slog.DiscardHandler))
	ask := func() {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Body.String() != "ok" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		<-u.heads
	}
	ask()
	ask()
	if n := len(u.conns); n != 1 {
		t.Errorf("%d connections for two requests", n)
	}
	end()
	for deadline := time.Now().Add(patience); len(u.conns) < 3; ask() {
		if time.Now().After(deadline) {
			t.Fatal("connections are kept")
		}
	}
}
