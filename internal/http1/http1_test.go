package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
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
