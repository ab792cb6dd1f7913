package readiness

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

const patience = time.Minute

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (conn *Conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn, peer = New(accepted).(*Conn), dialed.(*net.TCPConn)
	t.Cleanup(func() {
		_ = conn.Close()
		_ = peer.Close()
	})
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn, peer
}

// reader reads from a connection, as often as it is told that there may be something.
type reader struct {
	conn     net.Conn
	attempts chan error // all but the first few are not recorded
	got      []byte
	err      error
}

func newReader(conn net.Conn) *reader {
	return &reader{conn: conn, attempts: make(chan error, 10)}
}

func (r *reader) read() error {
	buffer := make([]byte, 100)
	n, err := r.conn.Read(buffer)
	select {
	case r.attempts <- err:
	default:
	}
	if n == 0 && errors.Is(err, ErrNotYet) {
		return err
	}
	r.got, r.err = buffer[:n], err
	return nil
}

func TestWaitsForData(t *testing.T) {
	t.Parallel()
	conn, peer := pair(t)
	r := newReader(conn)
	waited := make(chan error, 1)
	go func() { waited <- conn.WhenReadable(r.read) }()
	if err := <-r.attempts; !errors.Is(err, ErrNotYet) {
		t.Errorf("first, it reads %q, %v", r.got, err)
	}
	_, _ = io.WriteString(peer, "data")
	if err := <-waited; err != nil || r.err != nil || string(r.got) != "data" {
		t.Errorf("%v, %q, %v", err, r.got, r.err)
	}
}

func TestReadsWhatIsThere(t *testing.T) {
	t.Parallel()
	conn, peer := pair(t)
	_, _ = io.WriteString(peer, "data")
	_ = peer.CloseWrite()
	for _, want := range []struct {
		got string
		err error
	}{{"data", nil}, {"", io.EOF}, {"", io.EOF}} {
		r := newReader(conn)
		if err := conn.WhenReadable(r.read); err != nil || string(r.got) != want.got || !errors.Is(r.err, want.err) {
			t.Errorf("%v, %q, %v", err, r.got, r.err)
		}
	}
}

// TestReadsNothing has no place for what is there.
func TestReadsNothing(t *testing.T) {
	t.Parallel()
	conn, peer := pair(t)
	_, _ = io.WriteString(peer, "data")
	ended := make(chan error, 1)
	go func() {
		ended <- conn.WhenReadable(func() error {
			_, err := conn.Read(nil)
			return err
		})
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it waits for itself")
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	conn, peer := pair(t)
	_ = peer.SetLinger(0)
	_ = peer.Close()
	r := newReader(conn)
	failed, ok := conn.WhenReadable(r.read), false
	if _, ok = errors.AsType[net.Error](r.err); failed != nil || !ok {
		t.Errorf("%v, %v", failed, r.err)
	}
}

// TestWaitingReturnsErrors has read fail with anything but ErrNotYet.
func TestWaitingReturnsErrors(t *testing.T) {
	t.Parallel()
	conn, _ := pair(t)
	if err := conn.WhenReadable(func() error { return io.ErrShortWrite }); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

// TestReadWaitsOtherwise reads outside of WhenReadable.
func TestReadWaitsOtherwise(t *testing.T) {
	t.Parallel()
	conn, peer := pair(t)
	_, _ = io.WriteString(peer, "data")
	if err := conn.WhenReadable(newReader(conn).read); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _, _ = io.WriteString(peer, "more") })
	more := make([]byte, 100)
	if n, err := conn.Read(more); err != nil || string(more[:n]) != "more" {
		t.Errorf("%q, %v", more[:n], err)
	}
}

// TestLargeReads waits for data that comes in two parts.
func TestLargeReads(t *testing.T) {
	t.Parallel()
	conn, peer := pair(t)
	content := strings.Repeat("data", large/8)
	go func() {
		for range 2 {
			time.Sleep(50 * time.Millisecond)
			_, _ = io.WriteString(peer, content)
		}
	}()
	var got []byte
	buffer := make([]byte, large)
	for len(got) < 2*len(content) {
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buffer[:n]...)
	}
	if string(got) != content+content {
		t.Errorf("%d bytes, not those that were sent", len(got))
	}
}

// TestLargeReadsFailLikeOthers compares with what Go's own connection returns, of which the log quotes the text.
func TestLargeReadsFailLikeOthers(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(conn *Conn, peer *net.TCPConn){
		"at the deadline":    func(conn *Conn, _ *net.TCPConn) { _ = conn.SetReadDeadline(time.Unix(1, 0)) },
		"with the conn":      func(conn *Conn, _ *net.TCPConn) { _ = conn.Close() },
		"with the peer":      func(_ *Conn, peer *net.TCPConn) { _ = peer.Close() },
		"with a peer's half": func(_ *Conn, peer *net.TCPConn) { _ = peer.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, peer := pair(t)
			fail(conn, peer)
			buffer := make([]byte, large)
			n, err := conn.Read(buffer)
			if wantN, want := conn.TCPConn.Read(buffer); n != wantN || fmt.Sprint(err) != fmt.Sprint(want) {
				t.Errorf("%d, %v instead of %d, %v", n, err, wantN, want)
			}
		})
	}
	conn, peer := pair(t)
	_ = peer.SetLinger(0)
	_ = peer.Close()
	_, err := conn.Read(make([]byte, large))
	if want := "read tcp " + conn.LocalAddr().String() + "->" + conn.RemoteAddr().String() + ": read: connection reset by peer"; fmt.Sprint(err) != want {
		t.Errorf("%v instead of %s", err, want)
	}
}

func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*Conn)
		want error
	}{
		"at the deadline": {func(conn *Conn) { _ = conn.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"with the conn":   {func(conn *Conn) { _ = conn.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := pair(t)
			r := newReader(conn)
			waited := make(chan error, 1)
			go func() { waited <- conn.WhenReadable(r.read) }()
			<-r.attempts
			c.end(conn)
			if err := <-waited; !errors.Is(err, c.want) {
				t.Error(err)
			}
			if err := conn.WhenReadable(r.read); !errors.Is(err, c.want) {
				t.Errorf("then %v", err)
			}
		})
	}
}

// TestTLSGoesOn delivers the records of TLS byte by byte.
func TestTLSGoesOn(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, peer := pair(t)
		certified := httptest.NewUnstartedServer(nil)
		certified.StartTLS()
		t.Cleanup(certified.Close)
		encrypted := tls.Server(conn, &tls.Config{Certificates: certified.TLS.Certificates})
		slow := &byteByByte{Conn: peer}
		client := tls.Client(slow, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
		sent := make(chan error, 1)
		go func() {
			err := client.Handshake()
			slow.slow = true
			for i := range 3 {
				_, _ = fmt.Fprintf(client, "message %d", i)
			}
			_ = client.CloseWrite()
			sent <- err
		}()
		if err := encrypted.Handshake(); err != nil {
			t.Fatal(err)
		}
		waiter := Of(encrypted)
		if waiter != conn {
			t.Fatal("the connection below is not found")
		}
		received := ""
		for ended := false; !ended; {
			r := newReader(encrypted)
			if err := waiter.WhenReadable(r.read); err != nil {
				t.Fatal(err)
			}
			received += string(r.got)
			ended = errors.Is(r.err, io.EOF)
			if r.err != nil && !ended && !errors.Is(r.err, ErrNotYet) {
				t.Fatal(r.err)
			}
		}
		if received != "message 0message 1message 2" {
			t.Errorf("%q", received)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

// byteByByte gives the other end time to notice each byte.
type byteByByte struct {
	net.Conn

	slow bool
}

func (c *byteByByte) Write(p []byte) (int, error) {
	if !c.slow {
		return c.Conn.Write(p)
	}
	for i := range p {
		time.Sleep(100 * time.Microsecond)
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestOtherConnections(t *testing.T) {
	t.Parallel()
	conn, peer := net.Pipe()
	if New(conn) != conn || Of(conn) != nil {
		t.Error("it is taken for TCP")
	}
	go func() { _, _ = io.WriteString(peer, "data") }()
	r := newReader(conn)
	if err := Of(conn).WhenReadable(r.read); err != nil || string(r.got) != "data" {
		t.Errorf("%q, %v", r.got, err)
	}
}
