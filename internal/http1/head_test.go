package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

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

func FuzzHead(f *testing.F) {
	for _, text := range heads {
		if len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := string(HeadOf([]byte(text)))
		r := &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, URL: &url.URL{}}
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
