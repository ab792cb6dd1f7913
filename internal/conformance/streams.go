package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"testing"

	"github.com/coder/websocket"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

func streams(t *testing.T, proxy Proxy) {
	for name, test := range map[string]func(*testing.T, Gateway){
		"Range":                    ranges,
		"headers before the body":  headersFirst,
		"flush":                    flush,
		"archive":                  archive,
		"interim answer, trailers": interim,
		"paths":                    paths,
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, gateway := range protocols(proxy.Open(t, withKey)) {
				t.Run(protocol, func(t *testing.T) { test(t, gateway) })
			}
		})
	}
	t.Run("WebSocket", func(t *testing.T) { socket(t, protocols(proxy.Open(t, withKey))["HTTP1"]) })
}

// get returns a request with the right key.
func (g Gateway) get(t *testing.T, method, uri string) *http.Request {
	t.Helper()
	request, err := http.NewRequest(method, g.scheme()+"://"+g.Host+uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Access-Key", Key)
	return request
}

func ranges(t *testing.T, gateway Gateway) {
	request := gateway.get(t, http.MethodGet, "/api/assets/1/original?size=1000000")
	request.Header.Set("Range", "bytes=500000-500009")
	response, body := do(t, gateway.client(t, "127.0.0.1"), request)
	whole, err := io.ReadAll(fakeimmich.Content(1000000))
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusPartialContent || !bytes.Equal(body, whole[500000:500010]) {
		t.Errorf("status %d, %d bytes", response.StatusCode, len(body))
	}
}

// flush reads the first line of a stream whose second line follows an hour later.
func flush(t *testing.T, gateway Gateway) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request := gateway.get(t, http.MethodPost, "/api/sync/stream?gap=1h").WithContext(ctx)
	response, err := gateway.client(t, "127.0.0.1").Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || !json.Valid([]byte(line)) {
		t.Errorf("the first line is %q, %v", line, err)
	}
}

// headersFirst expects the headers of a response whose body follows an hour later, also for an upload of unknown length.
func headersFirst(t *testing.T, gateway Gateway) {
	for _, length := range []int64{0, -1} {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		request := gateway.get(t, http.MethodPost, "/api/sync/stream?delay=1h").WithContext(ctx)
		request.ContentLength = length
		if length < 0 {
			request.Body = io.NopCloser(bytes.NewReader([]byte("{}")))
		}
		response, err := gateway.client(t, "127.0.0.1").Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
}

func archive(t *testing.T, gateway Gateway) {
	response, body := do(t, gateway.client(t, "127.0.0.1"), gateway.get(t, http.MethodPost, "/api/download/archive?size=3000000"))
	if response.StatusCode != http.StatusOK || len(body) != 3000000 {
		t.Errorf("status %d, %d bytes", response.StatusCode, len(body))
	}
}

func interim(t *testing.T, gateway Gateway) {
	var status int
	var link string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		status, link = code, header.Get("Link")
		return nil
	}}
	request := gateway.get(t, http.MethodGet, "/api/server/interim")
	response, _ := do(t, gateway.client(t, "127.0.0.1"), request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if status != http.StatusEarlyHints || link == "" {
		t.Errorf("interim status %d, Link %q", status, link)
	}
	if response.StatusCode != http.StatusOK || response.Trailer.Get("X-Checksum") == "" {
		t.Errorf("status %d, trailer %v", response.StatusCode, response.Trailer)
	}
}

func paths(t *testing.T, gateway Gateway) {
	for _, uri := range []string{"/api/a%20b/%C3%A9?x=%20y&z=a%2Fb", "/photos/", "/?%zz"} {
		response, body := do(t, gateway.client(t, "127.0.0.1"), gateway.get(t, http.MethodGet, uri))
		var arrival fakeimmich.Arrival
		if err := json.Unmarshal(body, &arrival); err != nil || arrival.URI != uri {
			t.Errorf("%s arrived as %q, status %d, %v", uri, arrival.URI, response.StatusCode, err)
		}
	}
}

func socket(t *testing.T, gateway Gateway) {
	ctx := t.Context()
	conn, _, err := websocket.Dial(ctx, gateway.scheme()+"://"+gateway.Host+"/api/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{
		HTTPClient: gateway.client(t, "127.0.0.1"),
		HTTPHeader: http.Header{"X-Access-Key": {Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := conn.Read(ctx); err != nil || string(message) != "hello" {
		t.Errorf("%q, %v", message, err)
	}
}
