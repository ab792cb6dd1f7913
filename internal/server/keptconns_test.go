package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/http1"
)

const anotherRequest = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// exchange sends a request, and returns when it is answered.
func exchange(t *testing.T, conn net.Conn, reader *bufio.Reader, request string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if string(body) != "let in" || err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	return response
}

// TestKeptConnectionsAreClosed by a server that stops.
func TestKeptConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(served){
		"Shutdown": func(s served) { _ = s.Shutdown(t.Context()) },
		"Close":    func(s served) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(*config.Settings) {})
			conn := s.dial(t, "http/1.1")
			reader := bufio.NewReader(conn)
			exchange(t, conn, reader, anotherRequest)
			exchange(t, conn, reader, anotherRequest)
			stop(s)
			if _, err := reader.ReadByte(); err == nil || isTimeout(err) {
				t.Error(err)
			}
		})
	}
}

// TestKeptConnectionsCarryAllRequests of any kind, with TLS and without.
func TestKeptConnectionsCarryAllRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, func(settings *config.Settings) { settings.Listen.Plain = "127.0.0.1:0" })
	plain, err := net.Dial("tcp", s.listeners.Plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	_ = plain.SetDeadline(time.Now().Add(patience))
	for name, conn := range map[string]net.Conn{"TLS": s.dial(t, "http/1.1"), "plain": plain} {
		reader := bufio.NewReader(conn)
		for _, request := range []string{
			anotherRequest, anotherRequest,
			"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", anotherRequest,
			"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", anotherRequest,
		} {
			if client := exchange(t, conn, reader, request).Header.Get("X-Client"); client != conn.LocalAddr().String() {
				t.Errorf("%s: %s, not %s", name, client, conn.LocalAddr())
			}
		}
	}
}

// TestKeptConnectionsAreCounted as idle and as busy, also after they were given back to net/http.
func TestKeptConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	conn := s.dial(t, "http/1.1")
	reader := bufio.NewReader(conn)
	is := func(what string, want func(*trackedConn) bool) {
		t.Helper()
		waitFor(t, what, func() bool {
			s.limiter.mu.Lock()
			defer s.limiter.mu.Unlock()
			for c := range s.limiter.conns {
				return want(c)
			}
			return false
		})
	}
	idle := func(c *trackedConn) bool { return c.asked && !c.running && c.head == 0 && c.charged == 0 }
	for range 3 {
		exchange(t, conn, reader, anotherRequest)
		is("the connection is idle", idle)
	}
	half := len(anotherRequest) / 2
	_, _ = io.WriteString(conn, anotherRequest[:half])
	is("half a head is counted", func(c *trackedConn) bool { return c.head > int64(half) && c.charged > connCost })
	exchange(t, conn, reader, anotherRequest[half:])
	is("the connection is idle", idle)
	_ = conn.Close()
	waitFor(t, "the connection is forgotten", func() bool {
		s.limiter.mu.Lock()
		defer s.limiter.mu.Unlock()
		return len(s.limiter.conns) == 0 && s.limiter.unasked == 0
	})
}

// TestKeptConnectionsAreServedByHTTP1 makes sure that the others test what they are meant to.
func TestKeptConnectionsAreServedByHTTP1(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	if _, ok := s.entryPoints[0].http1.Handler.(*http1.Server); !ok {
		t.Error("they are not")
	}
	if !strings.HasPrefix(s.entryPoints[0].kept.Listener().Addr().String(), "127.0.0.1:") {
		t.Error(s.entryPoints[0].kept.Listener().Addr())
	}
}
