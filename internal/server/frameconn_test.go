package server

import (
	"bytes"
	"crypto/sha256"
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
			const seed, writes = 1, 3000
			random, sent := rand.New(rand.NewPCG(seed, seed)), sha256.New()
			var writer sync.WaitGroup
			writer.Go(func() {
				content := make([]byte, 3*batchSize)
				for i := range content {
					content[i] = byte(random.Uint32())
				}
				for range writes {
					size := random.IntN(frameSize)
					if random.IntN(50) == 0 {
						size = random.IntN(len(content))
					}
					piece := content[random.IntN(len(content)-size):][:size]
					if n, err := conn.Write(piece); err != nil || n != size {
						t.Errorf("%d of %d bytes, %v", n, size, err)
					}
					sent.Write(piece)
				}
				_ = conn.Close()
			})
			received := sha256.New()
			if _, err := io.Copy(received, peer); err != nil {
				t.Fatal(err)
			}
			writer.Wait()
			if !bytes.Equal(received.Sum(nil), sent.Sum(nil)) {
				t.Error("what is received is not what was sent")
			}
			if held := conn.batches.inUse.Load(); held != buffers {
				t.Errorf("%d buffers are not given back", held-buffers)
			}
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
	frame := make([]byte, frameSize+9)
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
			written := make(chan error, 1)
			go func() {
				_, err := fillConn(conn)
				written <- err
			}()
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
	written := make(chan error, 1)
	go func() {
		_, err := fillConn(conn.below)
		written <- err
	}()
	if err := awaitError(t, written); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestAbandonedFramesDoNotDelayClose to a client that takes nothing.
func TestAbandonedFramesDoNotDelayClose(t *testing.T) {
	t.Parallel()
	conn, _ := framePair(t, time.Hour)
	written := make(chan error, 1)
	go func() {
		_, err := fillConn(conn)
		written <- err
	}()
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
