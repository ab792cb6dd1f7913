package server

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/flowcontrol"
)

func onPlain(s *config.Settings) { s.Listen.Plain = "127.0.0.1:0" }

func (s served) plain() string { return s.listeners.Plain.Addr().String() }

func dialPlain(t *testing.T, dialer *net.Dialer, address string) net.Conn {
	t.Helper()
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// plainClients use HTTP/1.1, and HTTP/2 with prior knowledge.
func plainClients(t *testing.T) map[string]*http.Client {
	t.Helper()
	two := &http.Transport{Protocols: new(http.Protocols)}
	two.Protocols.SetUnencryptedHTTP2(true)
	one := &http.Transport{}
	t.Cleanup(one.CloseIdleConnections)
	t.Cleanup(two.CloseIdleConnections)
	return map[string]*http.Client{"HTTP/1.1": {Transport: one, Timeout: patience}, "HTTP/2.0": {Transport: two, Timeout: patience}}
}

func TestPlainSupportsBothVersions(t *testing.T) {
	t.Parallel()
	s := serve(t, onPlain)
	for protocol, client := range plainClients(t) {
		for range 3 {
			response, err := client.Get("http://" + s.plain() + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || string(body) != "let in" || response.Proto != protocol {
				t.Errorf("%s: %s, %q, %v", protocol, response.Proto, body, err)
			}
		}
		client.CloseIdleConnections()
	}
	waitFor(t, "the connections to be forgotten", func() bool {
		s.limiter.mu.Lock()
		defer s.limiter.mu.Unlock()
		return len(s.limiter.conns) == 0 && s.limiter.unasked == 0
	})
}

// TestPlainHTTP2WaitsNoLonger checks that the limits for HTTP/2 also apply without TLS: the preface does not count as a
// request.
func TestPlainHTTP2WaitsNoLonger(t *testing.T) {
	t.Parallel()
	t.Run("than timeouts.header", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(s *config.Settings) { onPlain(s); headerTimeout(time.Second)(s) })
		for _, said := range []string{"", "PRI * HTTP/2.0\r\n", http1Preface, http2Begins, http2Begins + http2Frame(frameHeaders, 1, "\x82")} {
			conn := dialPlain(t, &net.Dialer{}, s.plain())
			if _, err := io.WriteString(conn, said); err != nil {
				t.Fatal(err)
			}
			ends(t, conn)
		}
	})
	t.Run("when others need the room", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(s *config.Settings) { onPlain(s); s.Limits.Connections = 1 })
		waiting := dialPlain(t, &net.Dialer{}, s.plain())
		if _, err := io.WriteString(waiting, http2Begins); err != nil {
			t.Fatal(err)
		}
		readUntil(t, waiting, "\x00\x00\x00\x04\x01") // our SETTINGS, and the acknowledgement of the client's
		s.limiter.mu.Lock()
		if s.limiter.unasked == 0 {
			t.Error("it does not count as a connection without a request")
		}
		s.limiter.mu.Unlock()
		response, err := plainClients(t)["HTTP/1.1"].Get("http://" + s.plain() + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		ends(t, waiting)
	})
}

// TestBoundsAreSharedByAllListeners checks that a second listener does not double what clients can have in memory.
func TestBoundsAreSharedByAllListeners(t *testing.T) {
	t.Parallel()
	s := serve(t, func(s *config.Settings) { onPlain(s); s.Listen.Keyless = "127.0.0.1:0" })
	uploads, held := map[*flowcontrol.HTTP2]bool{}, map[*handshakes]bool{}
	for _, e := range s.entryPoints {
		uploads[e.http2.Uploads] = true
		if e.quic != nil {
			held[e.quic.handshakes] = true
		}
	}
	if len(s.entryPoints) != 3 || len(uploads) != 1 || len(held) != 1 {
		t.Errorf("%d listeners have %d bounds on uploads and %d on handshakes", len(s.entryPoints), len(uploads), len(held))
	}
}

// TestKeylessSupportsEveryVersion tests the second HTTPS address like the first.
func TestKeylessSupportsEveryVersion(t *testing.T) {
	t.Parallel()
	s := serve(t, func(s *config.Settings) { s.Listen.Keyless = "127.0.0.1:0" })
	keyless := s
	keyless.address = s.listeners.Keyless.Addr().String()
	for protocol, client := range clients(t) {
		response, err := client.Get("https://" + keyless.address + "/")
		if err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", protocol, response.Status)
		}
	}
	conn := keyless.dialQUIC(t)
	s.Close()
	select {
	case <-conn.Context().Done():
	case <-time.After(patience):
		t.Error("the connection of QUIC outlives the server")
	}
}
