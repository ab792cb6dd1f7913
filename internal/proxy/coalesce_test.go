package proxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// uploadTo returns a connection to Immich, with a count of the writes to it, and Immich's end of it.
func uploadTo(t *testing.T) (*upstreamConn, *countedConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, err := dial(time.Hour)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	immich, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = immich.Close()
	})
	_ = immich.SetDeadline(time.Now().Add(patience))
	upstream := conn.(*upstreamConn)
	counted := &countedConn{Conn: upstream.Conn}
	upstream.Conn = counted
	return upstream, counted, immich
}

type countedConn struct {
	net.Conn

	writes atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// pieces is a body of which each Read returns a piece of at most a size, now and then after a pause.
type pieces struct {
	content io.Reader
	size    int
	pause   func()
}

func (p *pieces) Read(b []byte) (int, error) {
	p.pause()
	if len(b) == 0 {
		return 0, io.ErrShortBuffer
	}
	return p.content.Read(b[:min(len(b), p.size)])
}

// TestPiecesOfAnUploadAreWholeAndInOrder has pieces of all sizes, and pauses in which the timer runs out.
func TestPiecesOfAnUploadAreWholeAndInOrder(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 1000, 8 << 10, coalesceSize, bufferSize, 2 * bufferSize} {
		conn, _, immich := uploadTo(t)
		content := make([]byte, 300*min(size, bufferSize)+1)
		for i := range content {
			content[i] = byte(rand.IntN(256))
		}
		body := &pieces{bytes.NewReader(content), size, func() {
			if rand.IntN(20) == 0 {
				time.Sleep(rand.N(2 * coalesceTime))
			}
		}}
		sent := make(chan error, 1)
		go func() {
			n, err := conn.ReadFrom(body)
			if n != int64(len(content)) {
				t.Errorf("%d bytes of %d are sent", n, len(content))
			}
			sent <- errors.Join(err, conn.CloseWrite())
		}()
		got, err := io.ReadAll(immich)
		if err = errors.Join(err, <-sent); err != nil || !bytes.Equal(got, content) {
			t.Errorf("pieces of %d: %d bytes of %d arrive, or others, %v", size, len(got), len(content), err)
		}
	}
}

// TestPiecesOfAnUploadAreWrittenTogether counts writes. The machine may be slow, and each millisecond allows one.
func TestPiecesOfAnUploadAreWrittenTogether(t *testing.T) {
	t.Parallel()
	const size, count = 8 << 10, 800
	conn, counted, immich := uploadTo(t)
	go func() { _, _ = io.Copy(io.Discard, immich) }()
	began := time.Now()
	if _, err := conn.ReadFrom(&pieces{bytes.NewReader(make([]byte, size*count)), size, func() {}}); err != nil {
		t.Fatal(err)
	}
	most := size*count/coalesceSize + 2 + 2*int(time.Since(began)/coalesceTime)
	if writes := counted.writes.Load(); writes > int64(most) {
		t.Errorf("%d writes for %d pieces in %v", writes, count, time.Since(began))
	}
}

// TestPieceOfAnUploadDoesNotWaitForTheNext stops sending when Immich may not have everything yet.
func TestPieceOfAnUploadDoesNotWaitForTheNext(t *testing.T) {
	t.Parallel()
	conn, _, immich := uploadTo(t)
	body, client := io.Pipe()
	defer func() { _ = client.Close() }()
	go func() { _, _ = conn.ReadFrom(body) }()
	for range 20 {
		for range 5 {
			_, _ = client.Write([]byte("piece"))
		}
		if _, err := io.ReadFull(immich, make([]byte, 5*len("piece"))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEndOfAnUpload sends what has come before the client's connection breaks, and before Immich's does.
func TestEndOfAnUpload(t *testing.T) {
	t.Parallel()
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		conn, _, immich := uploadTo(t)
		broken := io.MultiReader(iotest.OneByteReader(bytes.NewReader([]byte("content"))), iotest.ErrReader(io.ErrUnexpectedEOF))
		n, err := conn.ReadFrom(broken)
		_ = conn.Close()
		got, _ := io.ReadAll(immich)
		if n != int64(len("content")) || !errors.Is(err, io.ErrUnexpectedEOF) || string(got) != "content" {
			t.Errorf("%q arrives; %d, %v", got, n, err)
		}
	})
	t.Run("Immich", func(t *testing.T) {
		t.Parallel()
		conn, _, immich := uploadTo(t)
		_ = immich.Close()
		endless := &pieces{zeros{}, 100, func() {}}
		if _, err := conn.ReadFrom(endless); err == nil {
			t.Error("nothing is noticed")
		}
	})
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
