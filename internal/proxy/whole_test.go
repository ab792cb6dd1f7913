package proxy

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// wholeResponses are passed on from the buffer of their connection.
var wholeResponses = map[string]string{
	"a thumbnail":   ok,
	"as from Node":  "HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\nETag: W/\"x\"\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nok",
	"empty":         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"no content":    "HTTP/1.1 204 No Content\r\n\r\n",
	"not modified":  "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nEtag: x\r\n\r\n",
	"no reason":     "HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno",
	"odd status":    "HTTP/1.1 999 What else\r\nContent-Length: 2\r\n\r\nno",
	"zeros":         "HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nok",
	"empty header":  "HTTP/1.1 200 OK\r\nA:\r\nB: \r\nContent-Length: 2\r\n\r\nok",
	"many headers":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + strings.Repeat("A: b\r\n", 100) + "\r\nok",
	"a large body":  "HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n" + strings.Repeat("x", 16000),
	"one and more":  ok + ok,
	"own alt-svc":   "HTTP/1.1 200 OK\r\nAlt-Svc: x\r\nContent-Length: 2\r\n\r\nok",
	"content type":  "HTTP/1.1 200 OK\r\nContent-Type: image/webp\r\nContent-Length: 2\r\n\r\nok",
	"two of a kind": "HTTP/1.1 200 OK\r\nVary: a\r\nContent-Length: 2\r\nVary: b\r\n\r\nok",
}

// otherResponses are left to http.ReadResponse.
var otherResponses = map[string]string{
	"half a body":      "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf",
	"half a head":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
	"no length":        "HTTP/1.1 200 OK\r\n\r\nok",
	"empty length":     "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
	"two lengths":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
	"equal lengths":    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
	"a signed length":  "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
	"a long length":    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok",
	"chunks":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"chunks, length":   "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"close":            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
	"named headers":    "HTTP/1.1 200 OK\r\nConnection: A\r\nA: b\r\nContent-Length: 2\r\n\r\nok",
	"hop by hop":       "HTTP/1.1 200 OK\r\nProxy-Authenticate: x\r\nContent-Length: 2\r\n\r\nok",
	"trailer":          "HTTP/1.1 200 OK\r\nTrailer: A\r\nContent-Length: 2\r\n\r\nok",
	"pragma":           "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.0":         "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"interim":          "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok,
	"switch":           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
	"folded":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n c\r\n\r\nok",
	"folded length":    "HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 2\r\n\r\nok",
	"line feeds":       "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	"a return":         "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 2\r\n\r\nok",
	"blank in a name":  "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
	"beyond ASCII":     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: \xff\r\n\r\nok",
	"a tab":            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\tc\r\n\r\nok",
	"a short status":   "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
	"a signed status":  "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok",
	"a long status":    "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
	"blanks in status": "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
}

// readWholeFrom returns nil if the response is left to http.ReadResponse.
func readWholeFrom(text, method string) *wholeResponse {
	c := &persistentConn{reader: bufio.NewReaderSize(strings.NewReader(text), 32<<10)}
	if whole, err := c.readWhole(method); err != nil || !whole {
		return nil
	}
	return &c.whole
}

func TestWhatIsReadAsAWhole(t *testing.T) {
	t.Parallel()
	for name, text := range wholeResponses {
		if readWholeFrom(text, http.MethodGet) == nil {
			t.Errorf("%s is not", name)
		}
	}
	for name, text := range otherResponses {
		if readWholeFrom(text, http.MethodGet) != nil {
			t.Errorf("%s is", name)
		}
	}
}

func FuzzWhole(f *testing.F) {
	for _, texts := range []map[string]string{wholeResponses, otherResponses} {
		for text := range maps.Values(texts) {
			f.Add(text, false)
			f.Add(text, true)
		}
	}
	f.Fuzz(func(t *testing.T, text string, isHead bool) {
		r := &http.Request{Method: http.MethodGet}
		if isHead {
			r.Method = http.MethodHead
		}
		w := readWholeFrom(text, r.Method)
		if w == nil {
			return
		}
		reader := bufio.NewReader(strings.NewReader(text))
		want, err := http.ReadResponse(reader, r)
		if err != nil {
			t.Fatalf("net/http does not accept %q: %v", text, err)
		}
		body, err := io.ReadAll(want.Body)
		if rest, _ := io.ReadAll(reader); err != nil || string(body)+string(rest) != text[w.head:] || len(body) != w.body {
			t.Errorf("after %q, net/http reads %q, %v, and has %q left", text[:w.head], body, err, rest)
		}
		removeHopByHop(want.Header)
		got := http.Header{}
		w.addTo(got)
		if w.status != want.StatusCode || want.Close || fmt.Sprint(got) != fmt.Sprint(want.Header) {
			t.Errorf("%q is %d %v, not %d %v", text, w.status, got, want.StatusCode, want.Header)
		}
	})
}
