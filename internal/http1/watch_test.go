package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

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

// sendWatched sends a request for /wait, and returns when the connection is watched.
func (b *blockingHandler) sendWatched(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	send(t, conn, text)
	<-b.began
	time.Sleep(3 * watchDelay / 2)
}

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
	handler.sendWatched(t, conn, waiting+strings.Repeat(first, more))
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
	handler.sendWatched(t, conn, waiting)
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
		handler.sendWatched(t, conn, waiting)
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
	handler.sendWatched(t, conn, waiting)
	close(handler.done)
	skip(t, reader)
	send(t, conn, first)
	skip(t, reader)
}
