package testbed

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/integration/harness"
)

// socketInterval is the time between two messages of a WebSocket, so that it never becomes idle.
const socketInterval = 300 * time.Millisecond

// Socket is a WebSocket. It runs over HTTP/1.1.
type Socket struct {
	conn  *websocket.Conn
	count atomic.Int64 // of messages that came back
	done  chan struct{}
	err   error // once done is closed
}

// Socket opens a WebSocket, on which messages are echoed one after another; the client has to use HTTP/1.1.
func (c *Client) Socket(t testing.TB) *Socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, c.base+"/api/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{
		HTTPClient: c.http, Host: c.host, HTTPHeader: http.Header{"X-Access-Key": {c.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &Socket{conn: conn, done: make(chan struct{})}
	t.Cleanup(s.Close)
	go s.run()
	return s
}

func (s *Socket) run() {
	defer close(s.done)
	for s.err == nil {
		s.err = s.echo()
		s.count.Add(1)
		time.Sleep(socketInterval)
	}
}

func (s *Socket) echo() error {
	message := fmt.Appendf(nil, "message %d", s.count.Load())
	if err := s.conn.Write(context.Background(), websocket.MessageText, message); err != nil {
		return err
	}
	_, echo, err := s.conn.Read(context.Background())
	if err == nil && !bytes.Equal(echo, message) {
		err = fmt.Errorf("%q came back instead of %q", echo, message)
	}
	return err
}

// Echo waits until a message has come back that was sent after the call.
func (s *Socket) Echo(within time.Duration) error {
	const next = 2 // the one after the message that may be in transit
	want := s.count.Load() + next
	if harness.Within(within, func() bool { return s.Ended(0) || s.count.Load() >= want }) && !s.Ended(0) {
		return nil
	}
	if s.Ended(0) {
		return s.err
	}
	return fmt.Errorf("nothing comes back for %s", within)
}

// Ended waits for the end of the WebSocket.
func (s *Socket) Ended(within time.Duration) bool {
	select {
	case <-s.done:
		return true
	default:
	}
	select {
	case <-s.done:
		return true
	case <-time.After(within):
		return false
	}
}

// Close ends the WebSocket.
func (s *Socket) Close() { _ = s.conn.CloseNow() }
