package transfer

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

const patience = 20 * time.Second

// slowListener accepts connections whose Close waits until all of them are being closed.
type slowListener struct {
	net.Listener

	closing *sync.WaitGroup
}

func (l slowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: conn, closing: l.closing}, nil
}

type slowConn struct {
	net.Conn

	closing *sync.WaitGroup
	once    sync.Once
}

func (c *slowConn) Close() error {
	c.once.Do(func() {
		c.closing.Done()
		c.closing.Wait()
	})
	return c.Conn.Close()
}

// TestCloseWaitsForWebSocketsTogether has each take its time.
func TestCloseWaitsForWebSocketsTogether(t *testing.T) {
	t.Parallel()
	const count = 10
	var tracker Tracker
	var closing sync.WaitGroup
	closing.Add(count)
	ended := make(chan Entry, count)
	server := httptest.NewUnstartedServer(Handler(&tracker, time.Hour, func(e Entry) { ended <- e }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}()
	})))
	server.Listener = slowListener{server.Listener, &closing}
	server.Start()
	t.Cleanup(server.Close)
	for range count {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	for deadline := time.Now().Add(patience); tracker.Sockets() < count; time.Sleep(waitInterval) {
		if time.Now().After(deadline) {
			t.Fatalf("%d are open", tracker.Sockets())
		}
	}
	go tracker.Close()
	for range count {
		select {
		case e := <-ended:
			if e.Aborted != Shutdown {
				t.Errorf("ended by %q", e.Aborted)
			}
		case <-time.After(patience):
			t.Fatal("one waits for another")
		}
	}
}
