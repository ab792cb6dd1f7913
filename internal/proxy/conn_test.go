package proxy

import (
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// TestCloseNotifyHasItsOwnDeadline sends TLS's close_notify to a server that reads nothing.
func TestCloseNotifyHasItsOwnDeadline(t *testing.T) {
	t.Parallel()
	unread := httptest.NewUnstartedServer(nil) // it listens, but accepts no connection
	defer unread.Close()
	conn, err := dial(time.Hour)(t.Context(), "tcp", unread.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- fill(conn) }()
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it still waits")
	}
}

func fill(conn net.Conn) error {
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	for piece := make([]byte, bufferSize); ; {
		if _, err := conn.Write(piece); err != nil {
			return err
		}
	}
}
