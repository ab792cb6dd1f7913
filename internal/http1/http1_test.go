package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 20 * time.Second

// servers are one of net/http alone, and one whose plain requests this package serves.
type servers struct {
	usual, own string // addresses
}

func startBoth(t *testing.T, handler http.Handler) servers {
	t.Helper()
	usual := &http.Server{Handler: handler, ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0)}
	own, _ := newServer(handler, time.Minute)
	return servers{listen(t, usual), listen(t, own)}
}

// newServer returns an http.Server, which is not started.
func newServer(handler http.Handler, idle time.Duration) (*http.Server, *Server) {
	usual := &http.Server{Handler: handler, ReadHeaderTimeout: patience, IdleTimeout: idle, ErrorLog: log.New(io.Discard, "", 0)}
	return usual, New(usual, nil)
}

func listen(t *testing.T, server *http.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	if plain, ok := server.Handler.(*Server); ok {
		go func() { _ = server.Serve(plain.Listener()) }()
		t.Cleanup(plain.Close)
	}
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// first is a first request, after which a connection is taken over.
const first = "GET /first HTTP/1.1\r\nHost: photos.example.com\r\n\r\n"

// ending is a last request, so that the server closes the connection.
const ending = "GET /ending HTTP/1.1\r\nHost: photos.example.com\r\nConnection: close\r\n\r\n"

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// openConn returns a connection that has had a first request, and its response.
func openConn(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := dial(t, address)
	reader := bufio.NewReader(conn)
	send(t, conn, first)
	skip(t, reader)
	return conn, reader
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func skip(t *testing.T, reader *bufio.Reader) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

// converse sends the pieces, one after another, on a connection that was taken over, and returns all that is answered.
func converse(t *testing.T, address string, pieces ...string) string {
	t.Helper()
	conn, reader := openConn(t, address)
	go func() {
		for i, piece := range pieces {
			if i > 0 {
				time.Sleep(time.Millisecond) // so that they arrive one by one
			}
			if _, err := io.WriteString(conn, piece); err != nil {
				return
			}
		}
	}()
	answer, _ := io.ReadAll(reader) // a reset is fine: something was left unread
	return string(answer)
}

// describe answers with all that a handler can see of the request.
func describe(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var text bytes.Buffer
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintf(&text, "%s %q %q %s %d.%d %q %v %d %v %v %v %q %v %s\n", r.Method, r.RequestURI, r.URL, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host,
		r.Close, r.ContentLength, r.TransferEncoding, r.Trailer, r.TLS, body, err, host)
	fmt.Fprintln(&text, r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.ForceQuery, r.URL.Fragment, r.URL.Opaque, r.URL.Host)
	fmt.Fprintln(&text, r.Context().Value(http.ServerContextKey) != nil, r.Context().Value(http.LocalAddrContextKey) != nil)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&text, "%q: %q\n", name, r.Header[name])
	}
	w.Header().Set("Date", "none")
	_, _ = w.Write(text.Bytes())
}

const head = "GET /a/b?c=d HTTP/1.1\r\nHost: photos.example.com\r\n"

// heads are plain ones, and some that are not.
var heads = []string{
	head + "\r\n",
	head + "User-Agent: x\r\nAccept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nCookie: a=b; c=d\r\nSec-Fetch-Mode: no-cors\r\n\r\n",
	head + "user-agent: x\r\nACCEPT: y\r\nx-Access-KEY: z\r\nX_Forwarded_For: 1\r\nx-1-a: \r\nDNT:1\r\ntE-x: 1\r\n\r\n",
	head + "A:   spaces   around   \r\nB: 1\r\nA: again\r\nA: and again\r\n\r\n",
	head + "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\r\n",
	head + "Connection: Keep-Alive\r\nConnection: keep-alive\r\n\r\n",
	head + "Connection: close\r\n\r\n",
	head + "Connection: CLOSE\r\nconnection: keep-alive\r\n\r\n",
	head + "Connection: close\r\nConnection: X-Access-Key\r\n\r\n",
	head + "Connection: X-Real-Ip\r\n\r\n",
	head + "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
	head + "Range: bytes=1-2\r\nIf-None-Match: \"x\"\r\n\r\n",
	"HEAD /a HTTP/1.1\r\nHost: photos.example.com:8443\r\n\r\n",
	"GET //a//b/../c;d%2Fe%00?%zz&x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	"GET /a?b#c HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /<>\"{}|\\^`' HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /? HTTP/1.1\r\nHOST: x\r\n\r\n",
	"GET /" + strings.Repeat("long", 300) + " HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 1000) + "\r\n\r\n",
	// Pipelined, and mixed with what net/http serves.
	head + "\r\n" + head + "A: 1\r\n\r\n",
	head + "\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + head + "\r\n",
	"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + head + "\r\n",
	"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
	"DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://other.example.com/a HTTP/1.1\r\nHost: x\r\n\r\n", "GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a HTTP/1.0\r\nHost: x\r\n\r\n", "GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
	head + "Pragma: no-cache\r\n\r\n", head + "Te: trailers\r\n\r\n", head + "Trailer: A\r\n\r\n", head + "Expect: 100-continue\r\n\r\n", head + "Expect: x\r\n\r\n",
	head + "Upgrade: h2c\r\nHttp2-Settings: x\r\nConnection: Upgrade, Http2-Settings\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	// Hostile.
	head + "Content-Length: 5\r\n\r\nhello", head + "Content-Length: 0\r\n\r\n", head + "content-length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + "Transfer-Encoding: x\r\n\r\n", head + "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
	head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + head + "\r\n",
	head + "Transfer_Encoding: chunked\r\n\r\n", head + "Content_Length: 5\r\n\r\n",
	head + "Content-Length\r\n: 5\r\n\r\n", head + " Content-Length: 5\r\n\r\nhello", head + "A: b\r\n c\r\n\r\n", head + "A: b\r\n\tContent-Length: 5\r\n\r\nhello",
	"GET /a HTTP/1.1\r\n Host: x\r\n\r\n", "GET /a HTTP/1.1\r\nHost : x\r\n\r\n",
	head + "A: b\rContent-Length: 5\r\n\r\nhello", head + "A: b\nContent-Length: 5\r\n\r\nhello", head + "A: b\r\r\nB: c\r\n\r\n", head + "A: b\n\r\n\r\n",
	"GET /a HTTP/1.1\nHost: x\n\n", "GET /a HTTP/1.1\nHost: x\r\nA: b\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\n\r\n",
	head + "A: b\x00c\r\n\r\n", head + "A\x00: b\r\n\r\n", head + "A: \x7f\r\n\r\n", head + "A: \x80\xff\r\n\r\n", head + "\xc3\x84: b\r\n\r\n", head + "A: b\tc\r\n\r\n", head + "A:\tb\t\r\n\r\n",
	head + "A b: c\r\n\r\n", head + "A(b): c\r\n\r\n", head + ": c\r\n\r\n", head + "A\r\n\r\n", head + "A!#$%&'*+.^`|~: b\r\n\r\n", head + "A: b\x0bc\x1b[0m\r\n\r\n",
	"GET /a HTTP/1.1\r\n\r\n", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: x/y\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x y\r\n\r\n", "GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET /a HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x,y\r\n\r\n",
	"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a  HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1 \r\nHost: x\r\n\r\n", " GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET\t/a\tHTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a\x00 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a\rb HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET a HTTP/1.1\r\nHost: x\r\n\r\n", "GET  HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a\r\nHost: x\r\n\r\n", "GET\r\nHost: x\r\n\r\n", "get /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET/ /a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a HTTP/1.2\r\nHost: x\r\n\r\n", "GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1x\r\nHost: x\r\n\r\n", "GET /a http/1.1\r\nHost: x\r\n\r\n", "GET /a HTTP/0.9\r\nHost: x\r\n\r\n",
	"\r\n" + head + "\r\n", "\r\n\r\n", "\n", "\x16\x03\x01\x00\x05hello\r\n\r\n",
	"GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\nHost: x\r\n\r\n", head + "A: " + strings.Repeat("x", 10000) + "\r\n\r\n", head + strings.Repeat("A: b\r\n", 2000) + "\r\n",
	head + strings.Repeat("x", 2<<20) + "\r\n\r\n",
}

// TestRequestsAreReadAsByNetHTTP sends each head to both servers, after a request with which the connection was taken over, and
// compares everything that comes back.
func TestRequestsAreReadAsByNetHTTP(t *testing.T) {
	t.Parallel()
	both := startBoth(t, http.HandlerFunc(describe))
	for i, text := range heads {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			want, got := converse(t, both.usual, text, ending), converse(t, both.own, text, ending)
			if got != want {
				t.Errorf("%.200q is answered with\n%s\nnet/http with\n%s", text, got, want)
			}
		})
	}
}

// TestRequestsInPieces cuts requests at every byte.
func TestRequestsInPieces(t *testing.T) {
	t.Parallel()
	both := startBoth(t, http.HandlerFunc(describe))
	const text = "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"
	want := converse(t, both.usual, text, ending)
	for cut := range len(text) {
		if got := converse(t, both.own, text[:cut], text[cut:], ending); got != want {
			t.Errorf("cut at %d: %s", cut, got)
		}
	}
	if got := converse(t, both.own, append(strings.Split(text, ""), ending)...); got != want {
		t.Errorf("byte by byte: %s", got)
	}
}

// TestOnlyPlainRequestsAreServedHere finds out who serves a request by the writer.
func TestOnlyPlainRequestsAreServedHere(t *testing.T) {
	t.Parallel()
	server, _ := newServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, own := w.(*response)
		_, _ = fmt.Fprint(w, own)
	}), time.Minute)
	address := listen(t, server)
	for text, want := range map[string]string{
		head + "\r\n": "true",
		head + "Connection: keep-alive\r\naccept: x\r\n\r\n":       "true",
		"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + head + "\r\n":      "true",
		head + "Content-Length: 0\r\n\r\n":                         "false",
		head + "Connection: x\r\n\r\n":                             "false",
		head + "A: \xff\r\n\r\n":                                   "false",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n": "false",
		// For good.
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + head + "\r\n" + head + "\r\n": "false",
	} {
		answer := converse(t, address, text, ending)
		last := strings.LastIndex(strings.TrimSuffix(answer, answer[strings.LastIndex(answer, "HTTP/1.1"):]), "\r\n\r\n")
		if last < 0 || answer[last+4:last+4+len(want)] != want {
			t.Errorf("%q: served here is not %s: %s", text, want, answer)
		}
	}
}

// responses are what handlers do.
var responses = map[string]http.HandlerFunc{
	"nothing": func(http.ResponseWriter, *http.Request) {},
	"short":   func(w http.ResponseWriter, _ *http.Request) { _, _ = write(w, "<html>short") },
	"long":    func(w http.ResponseWriter, _ *http.Request) { _, _ = write(w, strings.Repeat("long", 50000)) },
	"pieces": func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3000 {
			_, _ = write(w, strings.Repeat("x", i%7))
		}
	},
	"2048":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2048)) },
	"2049":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2049)) },
	"empty": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) },
	"length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("content-type", "text/x")
		_, _ = write(w, "hello")
	},
	"long length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200000")
		for range 4 {
			_, _ = write(w, strings.Repeat("x", 50000))
		}
	},
	"too little": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "50")
		_, _ = write(w, "hello")
	},
	"too much": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		_, _ = write(w, "hello")
		n, err := write(w, "world")
		if n != 0 || !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
	},
	"zero":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") },
	"guess": func(w http.ResponseWriter, _ *http.Request) { _, _ = write(w, "GIF89a") },
	"no guess": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = write(w, "GIF89a")
	},
	"encoded": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		_, _ = write(w, "GIF89a")
	},
	"guess long": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		_, _ = write(w, "GIF89a")
	},
	"flush": func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = write(w, "hello")
			_ = http.NewResponseController(w).Flush()
		}
	},
	"flush first": func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = write(w, "x")
	},
	"flush header": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		w.(http.Flusher).Flush()
	},
	"status": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(599)
		w.WriteHeader(http.StatusOK)
		w.Header().Set("Too", "late")
		_, _ = write(w, "hello")
	},
	"204": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusNoContent)
		if _, err := write(w, "hello"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	},
	"304": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Type", "text/x")
		w.Header().Set("Etag", "x")
		w.WriteHeader(http.StatusNotModified)
	},
	"205": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusResetContent) },
	"interim": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "x")
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		_, _ = write(w, "hello")
	},
	"close": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = write(w, "hello")
	},
	"close late": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = write(w, "hello")
		w.Header().Set("Connection", "close")
	},
	"trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Trailer", "B, a")
		w.Header().Add("Trailer", "Missing")
		_, _ = write(w, "hello")
		w.Header().Set("A", "1")
		w.Header().Add("B", "2")
		w.Header().Add("B", "3")
		w.Header().Set(http.TrailerPrefix+"C", "4")
	},
	"late trailers": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = write(w, "hello")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"C", "4")
	},
	"header": func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["B"], h["lower"], h["A"], h["Bad Name"], h["None"] = []string{"1", "2"}, []string{" x "}, []string{"line\r\nend"}, []string{"x"}, nil
		h["Transfer-Encoding"] = []string{"chunked"}
		_, _ = write(w, strings.Repeat("x", 3000))
	},
	"huge header": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("A", strings.Repeat("x", 20000))
		_, _ = write(w, "x")
	},
	"abort": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = write(w, "hello")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	},
	"panic":       func(http.ResponseWriter, *http.Request) { panic("on purpose") },
	"abort early": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"abort later": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 3000))
		panic(http.ErrAbortHandler)
	},
	"deadline": func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		_, _ = write(w, "hello")
	},
}

// write does not use WriteString, which net/http divides into pieces of another size.
func write(w io.Writer, text string) (int, error) {
	return w.Write([]byte(text))
}

// TestResponsesAreThoseOfNetHTTP compares them byte by byte, and what comes after them.
func TestResponsesAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	both := startBoth(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/dated" {
			w.Header().Set("Date", "none")
		}
		if do := responses[r.URL.Query().Get("do")]; do != nil {
			do(w, r)
		}
	}))
	for do := range responses {
		for _, method := range []string{"GET", "HEAD"} {
			for _, connection := range []string{"keep-alive", "close"} {
				t.Run(method+" "+do+" "+connection, func(t *testing.T) {
					t.Parallel()
					text := fmt.Sprintf("%s /?do=%s HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n", method, strings.ReplaceAll(do, " ", "+"), connection)
					if connection == "keep-alive" {
						text += ending
					}
					want, got := converse(t, both.usual, text), converse(t, both.own, text)
					if got != want {
						t.Errorf("%s\nnet/http responds with\n%s", got, want)
					}
				})
			}
		}
	}
}

func TestResponsesHaveADate(t *testing.T) {
	t.Parallel()
	server, _ := newServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), time.Minute)
	conn, reader := openConn(t, listen(t, server))
	send(t, conn, first)
	date, err := http.ParseTime(skip(t, reader).Header.Get("Date"))
	if since := time.Since(date); err != nil || since < 0 || since > patience {
		t.Errorf("%v: %v", date, err)
	}
}

// blockingHandler keeps requests for /wait until their context ends, or done is closed.
type blockingHandler struct {
	began, done chan struct{}
	ended       chan error
}

func newBlockingHandler() *blockingHandler {
	return &blockingHandler{began: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan error, 1)}
}

func (b *blockingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/wait" {
		return
	}
	b.began <- struct{}{}
	select {
	case <-r.Context().Done():
	case <-b.done:
	case <-time.After(patience):
	}
	b.ended <- r.Context().Err()
	_, _ = io.WriteString(w, "waited")
}

const waiting = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"

// TestClientThatLeavesCancelsItsRequest also when it only closes its half of the connection, as in net/http.
func TestClientThatLeavesCancelsItsRequest(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(net.Conn){
		"closes": func(c net.Conn) { _ = c.Close() },
		"half":   func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
		"resets": func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := newBlockingHandler()
			server, _ := newServer(handler, time.Minute)
			conn, _ := openConn(t, listen(t, server))
			send(t, conn, waiting)
			<-handler.began
			leave(conn)
			if err := <-handler.ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestClientThatLeavesCancelsItsRequestAfterAnother was sent on the same connection, with it or later, whole or in part.
func TestClientThatLeavesCancelsItsRequestAfterAnother(t *testing.T) {
	t.Parallel()
	for name, next := range map[string][]string{
		"whole":    {waiting + first},
		"part":     {waiting + first[:1]},
		"later":    {waiting, first},
		"in parts": {waiting, first[:10], first[10:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := newBlockingHandler()
			server, _ := newServer(handler, time.Minute)
			conn, _ := openConn(t, listen(t, server))
			for i, piece := range next {
				if i > 0 {
					time.Sleep(3 * watchDelay / 2)
				}
				send(t, conn, piece)
			}
			<-handler.began
			_ = conn.Close()
			if err := <-handler.ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestFullBufferCancelsNothing sends more requests during another than are read ahead.
func TestFullBufferCancelsNothing(t *testing.T) {
	t.Parallel()
	handler := newBlockingHandler()
	server, _ := newServer(handler, time.Minute)
	conn, reader := openConn(t, listen(t, server))
	const more = 200
	send(t, conn, waiting+strings.Repeat(first, more))
	<-handler.began
	time.Sleep(3 * watchDelay / 2)
	handler.done <- struct{}{}
	if err := <-handler.ended; err != nil {
		t.Error(err)
	}
	for range more + 1 {
		if status := skip(t, reader).StatusCode; status != http.StatusOK {
			t.Fatal(status)
		}
	}
}

// TestWatchedConnectionsMayStayForever without an idle timeout.
func TestWatchedConnectionsMayStayForever(t *testing.T) {
	t.Parallel()
	handler := newBlockingHandler()
	server, _ := newServer(handler, 0)
	conn, reader := openConn(t, listen(t, server))
	send(t, conn, waiting)
	<-handler.began
	time.Sleep(3 * watchDelay / 2)
	handler.done <- struct{}{}
	<-handler.ended
	skip(t, reader)
	send(t, conn, first)
	skip(t, reader)
}

// TestNothingIsLostOfWatchedConnections sends the next request while one is running for long enough to be watched.
func TestNothingIsLostOfWatchedConnections(t *testing.T) {
	t.Parallel()
	handler := newBlockingHandler()
	server, _ := newServer(handler, time.Minute)
	conn, reader := openConn(t, listen(t, server))
	for range 3 {
		send(t, conn, waiting)
		<-handler.began
		time.Sleep(3 * watchDelay / 2)
		send(t, conn, first)
		time.Sleep(watchDelay / 2)
		handler.done <- struct{}{}
		if err := <-handler.ended; err != nil {
			t.Error(err)
		}
		for range 2 {
			if status := skip(t, reader).StatusCode; status != http.StatusOK {
				t.Error(status)
			}
		}
	}
	// A request that was watched, but that nothing follows for a while.
	send(t, conn, waiting)
	<-handler.began
	time.Sleep(3 * watchDelay / 2)
	close(handler.done)
	skip(t, reader)
	send(t, conn, first)
	skip(t, reader)
}

func TestContextsEndWithTheirRequests(t *testing.T) {
	t.Parallel()
	contexts := make(chan context.Context, 2)
	server, _ := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { contexts <- r.Context() }), time.Minute)
	conn, reader := openConn(t, listen(t, server))
	send(t, conn, first)
	skip(t, reader)
	for range 2 {
		<-(<-contexts).Done()
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	server, _ := newServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), 50*time.Millisecond)
	_, reader := openConn(t, listen(t, server))
	if _, err := reader.ReadByte(); err != io.EOF {
		t.Error(err)
	}
}

func TestIdleConnectionsMayStayForever(t *testing.T) {
	t.Parallel()
	server, _ := newServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), 0)
	conn, reader := openConn(t, listen(t, server))
	send(t, conn, first)
	skip(t, reader)
}

// TestShutdown closes an idle connection, and lets a request finish.
func TestShutdown(t *testing.T) {
	t.Parallel()
	handler := newBlockingHandler()
	server, plain := newServer(handler, time.Minute)
	address := listen(t, server)
	_, idleReader := openConn(t, address)
	conn, reader := openConn(t, address)
	send(t, conn, waiting)
	<-handler.began
	stopped := make(chan error)
	go func() { stopped <- plain.Shutdown(t.Context()) }()
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	select {
	case <-stopped:
		t.Error("a request is running")
	case <-time.After(10 * pollInterval):
	}
	close(handler.done)
	if response := skip(t, reader); !response.Close {
		t.Error("the response does not announce that the connection closes")
	}
	if _, err := reader.ReadByte(); err != io.EOF {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	late := dial(t, address) // net/http serves it
	send(t, late, first)
	skip(t, bufio.NewReader(late))
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	handler := newBlockingHandler()
	server, plain := newServer(handler, time.Minute)
	conn, reader := openConn(t, listen(t, server))
	send(t, conn, waiting)
	<-handler.began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := plain.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	plain.Close()
	if err := <-handler.ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the connection is open")
	}
}

// TestTLSIsSeenByHandlers of requests that are served here, and of those after the connection was given back.
func TestTLSIsSeenByHandlers(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.TLS.Version) }))
	server.Config.IdleTimeout = time.Minute
	plain := New(server.Config, server.Listener.Addr())
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(plain.Close)
	go func() { _ = server.Config.Serve(plain.Listener()) }()
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	send(t, conn, first+first+"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"+ending)
	answer, _ := io.ReadAll(conn)
	if n := strings.Count(string(answer), fmt.Sprint("\r\n\r\n", tls.VersionTLS13)); n != 4 {
		t.Errorf("%d handlers see TLS: %s", n, answer)
	}
}

func TestPanicsAreLogged(t *testing.T) {
	t.Parallel()
	server, _ := newServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { panic(r.URL.Path) }), time.Minute)
	lines, writer := io.Pipe()
	server.ErrorLog = log.New(writer, "", 0)
	conn := dial(t, listen(t, server))
	send(t, conn, first)
	line, err := bufio.NewReader(lines).ReadString('\n')
	if want := fmt.Sprintf("http: panic serving %s: /first\n", conn.LocalAddr()); line != want || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	_ = lines.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestStatesOfConnections is what the limiter goes by.
func TestStatesOfConnections(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var states []http.ConnState
	record := func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, state)
	}
	server, _ := newServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), time.Minute)
	server.ConnState = record
	conn, reader := openConn(t, listen(t, server))
	send(t, conn, first)
	skip(t, reader)
	send(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"+ending)
	_, _ = io.ReadAll(reader)
	mu.Lock()
	defer mu.Unlock()
	want := []http.ConnState{http.StateNew, http.StateActive, http.StateHijacked, http.StateIdle, http.StateActive, http.StateIdle,
		http.StateNew, http.StateActive, http.StateIdle, http.StateActive}
	if len(states) < len(want) || !slices.Equal(states[:len(want)], want) {
		t.Error(states)
	}
}

func FuzzHead(f *testing.F) {
	for _, text := range heads {
		if len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := string(headOf([]byte(text)))
		r := &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
		if !parse(r, found) {
			return
		}
		reader := bufio.NewReader(strings.NewReader(text))
		want, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("net/http does not accept %q: %v", text, err)
		}
		rest, _ := io.ReadAll(reader)
		if string(rest) != text[len(found):] {
			t.Errorf("after %q, net/http continues with %q", found, rest)
		}
		want.Header.Del("Host")
		if fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", want) || fmt.Sprintf("%#v", r.URL) != fmt.Sprintf("%#v", want.URL) {
			t.Errorf("%q is\n%+v\nnot\n%+v", text, r, want)
		}
	})
}
