package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestBuffersOfHTTP3FitTheClient(t *testing.T) {
	t.Parallel()
	small := newBuffers()
	b := newQUICBuffers(small)
	buffer := small.Get()
	for i, step := range []struct {
		filled bool
		took   time.Duration
		want   int
	}{
		{false, 0, bufferSize},
		{true, 0, quicBufferSize},
		{false, 0, quicBufferSize},
		{true, 0, quicBufferSize},
		{true, time.Second, bufferSize},
		{false, 0, bufferSize},
		{true, 0, quicBufferSize},
		{false, time.Second, bufferSize},
	} {
		if buffer = b.next(buffer, step.filled, step.took); len(buffer) != step.want {
			t.Errorf("step %d: %d bytes instead of %d", i, len(buffer), step.want)
		}
	}
	b.Put(buffer)
	if in := b.inUse.Load(); in != 0 {
		t.Errorf("%d are in use in the end", in)
	}
}

func TestFewBuffersOfHTTP3AreLarge(t *testing.T) {
	t.Parallel()
	b := newQUICBuffers(newBuffers())
	var taken [][]byte
	for i := range maxQUICBuffers + 2 {
		want := quicBufferSize
		if i >= maxQUICBuffers {
			want = bufferSize
		}
		taken = append(taken, b.Get())
		if got := len(taken[i]); got != want {
			t.Errorf("buffer %d has %d bytes", i, got)
		}
	}
	for _, buffer := range taken {
		b.Put(buffer)
	}
	if len(b.Get()) != quicBufferSize {
		t.Error("there is none when all have been given back")
	}
}

// largeWrites fails when it is given more than other clients get at once.
type largeWrites struct{ *httptest.ResponseRecorder }

var errLarge = errors.New("a large piece")

func (largeWrites) Write(p []byte) (int, error) {
	if len(p) > bufferSize {
		return 0, errLarge
	}
	return len(p), nil
}

// TestForwarderGivesClientsOfHTTP3LargePieces has an endless response, of which there is always more than a piece sooner or later.
func TestForwarderGivesClientsOfHTTP3LargePieces(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	upstream := startUpstream(t, func(conn net.Conn, _ int) bool {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
		for piece := make([]byte, quicBufferSize); err == nil; {
			_, err = conn.Write(piece)
		}
		ended <- err
		return false
	})
	f := newProxy(t, upstream.url).Handler.(*forwarder)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.ProtoMajor = 3
	go f.ServeHTTP(largeWrites{httptest.NewRecorder()}, r)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("no piece was large")
	}
}
