package server

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/http2frame"
)

// framePair returns the server's end of a connection with TLS, which collects frames, and the client's.
func framePair(t *testing.T, idle time.Duration) (*frameConn, net.Conn) {
	t.Helper()
	below, peer := batchPair(t, idle)
	certificates := httptest.NewTLSServer(nil)
	t.Cleanup(certificates.Close)
	encrypted := tls.Server(below, certificates.TLS)
	client := tls.Client(peer, &tls.Config{InsecureSkipVerify: true})
	var handshakes sync.WaitGroup
	handshakes.Go(func() {
		if err := client.Handshake(); err != nil {
			t.Error(err)
		}
	})
	if err := encrypted.Handshake(); err != nil {
		t.Fatal(err)
	}
	handshakes.Wait()
	conn := newFrameConn(encrypted, below)
	t.Cleanup(func() { _ = conn.Close() })
	return conn, client
}

// TestFramesAreWholeAndInOrder writes frames of all sizes, however many buffers there are.
func TestFramesAreWholeAndInOrder(t *testing.T) {
	t.Parallel()
	for name, buffers := range map[string]int64{
		"enough buffers": 0, "two buffers": maxBatches - 2, "one buffer": maxBatches - 1, "no buffer": maxBatches,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, peer := framePair(t, time.Hour)
			conn.batches.inUse.Store(buffers)
			wantWholeAndInOrder(t, dataWriter{conn}, &dataReader{Reader: peer, t: t}, conn.batches, largeFrame, conn.Close, func(*rand.Rand) {})
		})
	}
}

// TestFramesShareWrites has one write take what was collected while the one before was under way.
func TestFramesShareWrites(t *testing.T) {
	t.Parallel()
	conn, peer := framePair(t, time.Hour)
	slow := &slowWrites{Conn: conn.below.Conn, begun: make(chan struct{}, 100), proceed: make(chan struct{})}
	conn.below.Conn = slow
	conn.last = time.Now() // it is busy
	const frames = 6
	frame := []byte(frameOf(http2frame.Data, 0, repeat("x", frameSize)))
	for i := range frames {
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-slow.begun
		}
	}
	close(slow.proceed)
	if _, err := io.ReadFull(peer, make([]byte, frames*len(frame))); err != nil {
		t.Fatal(err)
	}
	if n := slow.count.Load(); n != 2 {
		t.Errorf("%d writes", n)
	}
}

// slowWrites is a connection whose writes wait until they may proceed.
type slowWrites struct {
	net.Conn

	begun   chan struct{}
	proceed chan struct{}
	count   atomic.Int64
}

func (s *slowWrites) Write(p []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.proceed
	s.count.Add(1)
	return s.Conn.Write(p)
}

func TestClientThatTakesNoFramesIsNoticed(t *testing.T) {
	t.Parallel()
	conn, peer := framePair(t, time.Second)
	taken, err := fillConn(conn)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("who reads the connection is told %v", err)
	}
	waitUntil(t, "the buffers to be given back", func() bool { return conn.batches.inUse.Load() == 0 })
	got, _ := io.Copy(io.Discard, peer)
	if held := int64(taken) - got; held > 3*batchSize {
		t.Errorf("%d bytes are held", held)
	}
}

// TestClientThatTakesNoFramesIsNoticedWithoutBuffers has a connection that began when all buffers were in use.
func TestClientThatTakesNoFramesIsNoticedWithoutBuffers(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"busy": true, "idle": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := framePair(t, time.Second)
			conn.batches.inUse.Store(maxBatches)
			if !busy {
				conn.batches.busyTime = 0
			}
			written := fillInBackground(conn)
			if err := awaitError(t, written); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("who reads the connection is told %v", err)
			}
		})
	}
}

// TestClientThatTakesNoAnswersOfTLSIsNoticed writes what TLS itself does while the connection is read, such as its answers to key updates.
func TestClientThatTakesNoAnswersOfTLSIsNoticed(t *testing.T) {
	t.Parallel()
	conn, _ := framePair(t, time.Second)
	written := fillInBackground(conn.below)
	if err := awaitError(t, written); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestAbandonedFramesDoNotDelayClose to a client that takes nothing.
func TestAbandonedFramesDoNotDelayClose(t *testing.T) {
	t.Parallel()
	conn, _ := framePair(t, time.Hour)
	written := fillInBackground(conn)
	waitUntil(t, "the writer to wait", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.writing && conn.pending != nil && len(*conn.pending) == frameBatch
	})
	conn.batches.abandon()
	closed := make(chan error, 1)
	go func() { closed <- conn.Close() }()
	_ = awaitError(t, closed)
	if err := awaitError(t, written); err == nil {
		t.Error("the writer is told nothing")
	}
}
