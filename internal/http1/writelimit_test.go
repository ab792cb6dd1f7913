package http1

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

// TestDeadlineIsThatOfOneResponse writes the second of two responses when the deadline of the first has passed.
func TestDeadlineIsThatOfOneResponse(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Millisecond
	server, _ := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/late" {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
			return
		}
		time.Sleep(2 * limit)
		for range 2 {
			_, _ = write(w, "late")
			_ = http.NewResponseController(w).Flush()
		}
	}), limit/2)
	conn := dial(t, listen(t, server))
	send(t, conn, first+first+"GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if end := "4\r\nlate\r\n4\r\nlate\r\n0\r\n\r\n"; err != nil || len(answer) < len(end) || string(answer[len(answer)-len(end):]) != end {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestLateDeadlineIsIgnored has a timer of one response set a deadline in the past during the next.
func TestLateDeadlineIsIgnored(t *testing.T) {
	t.Parallel()
	var earlier http.ResponseWriter
	server, _ := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			if err := http.NewResponseController(earlier).SetWriteDeadline(time.Unix(1, 0)); err != nil {
				t.Error(err)
			}
			_, _ = write(w, "late")
			return
		}
		earlier = w
	}), patience)
	conn := dial(t, listen(t, server))
	send(t, conn, first+first+"GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(answer), "late") {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestNoDeadlineWhileIdle has TLS write when the deadline of the last response would have passed.
func TestNoDeadlineWhileIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, client := net.Pipe()
		defer func() { _ = conn.Close() }()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		l := writeLimit{conn: conn}
		l.beginResponse(nil)
		_ = l.set(nil, time.Now().Add(time.Minute))
		var reading transfer.Deadline
		reading.Extend(time.Hour)
		l.beginIdle(&reading)
		time.Sleep(2 * time.Minute)
		if _, err := io.WriteString(conn, "an answer to a key update"); err != nil {
			t.Error(err)
		}
	})
}
