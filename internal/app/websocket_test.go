package app

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// echoingImmich returns the URL of an Immich that sends back what it gets on WebSockets.
func echoingImmich(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn := switchProtocols(t, w)
		defer func() { _ = conn.Close() }()
		_, _ = io.Copy(struct{ io.Writer }{conn}, conn)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestWebSocketsOnAllConnections opens them on new connections and on those that have had other requests, and sends pieces of all sizes.
func TestWebSocketsOnAllConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plain, relayed bool
		before         int // requests
	}{
		"HTTPS":                   {},
		"HTTPS, kept":             {before: 2},
		"plain":                   {plain: true},
		"plain, kept":             {plain: true, before: 2},
		"PROXY protocol":          {relayed: true},
		"PROXY protocol, plain":   {relayed: true, plain: true},
		"PROXY protocol and kept": {relayed: true, before: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := open(t, func(s *config.Settings) {
				s.Upstreams, s.Log.Access = []string{echoingImmich(t)}, true
				s.Listen.Plain = "127.0.0.1:0"
				if c.relayed {
					s.Listen.ProxyProtocol = []string{"127.0.0.0/8"}
				}
			})
			address := a.Addr()
			if c.plain {
				address = a.listeners.Plain.Addr()
			}
			conn := dial(t, &net.Dialer{}, address)
			if c.relayed {
				_, _ = io.WriteString(conn, "PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n")
			}
			if !c.plain {
				conn = tls.Client(conn, trusting("http/1.1"))
			}
			for range c.before {
				request(t, conn, "GET /")
				response(t, bufio.NewReader(conn), http.MethodGet)
			}
			request(t, conn, "GET /api/socket.io/", "Connection: Upgrade", "Upgrade: websocket")
			readHead(t, conn)
			for _, size := range []int64{1, 100, 1 << 10, 16 << 10, 16<<10 + 1, 100_000, 1 << 20, 7} {
				go func() { _, _ = io.Copy(conn, fakeimmich.Content(size)) }()
				got := make([]byte, size)
				want, _ := io.ReadAll(fakeimmich.Content(size))
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes come back changed, %v", size, err)
				}
			}
			if shown := a.metrics(); !strings.Contains(shown, "immichaccess_websockets_open 1\n") {
				t.Errorf("the metrics are\n%s", shown)
			}
			_ = conn.Close()
			a.log.Await(t, "path=/api/socket.io/ protocol=HTTP/1.1 status=101 received=0 sent=0")
			a.log.Await(t, `aborted=""`)
			waitFor(t, "the WebSocket to end", func() bool { return strings.Contains(a.metrics(), "immichaccess_websockets_open 0\n") })
		})
	}
}

// TestWebSocketMakesRoom opens more WebSockets one after another than there may be at the same time.
func TestWebSocketMakesRoom(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		s.Upstreams = []string{echoingImmich(t)}
		s.Limits.Connections = 1
	})
	for range 3 {
		conn := a.dial(t, "http/1.1")
		request(t, conn, "GET /api/socket.io/", "Connection: Upgrade", "Upgrade: websocket")
		readHead(t, conn)
		second := dial(t, &net.Dialer{}, a.Addr())
		if _, err := second.Read(make([]byte, 1)); err == nil {
			t.Error("there is room for another connection")
		}
		_ = conn.Close()
		waitFor(t, "the WebSocket to end", func() bool { return a.tracker.Sockets() == 0 })
	}
}
