package server

import (
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

// togetherPair returns the server's end of a connection with TLS, as HTTP/2 uses it, and the client's.
func togetherPair(t *testing.T, idle time.Duration) (*togetherConn, net.Conn) {
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
	below.lead()
	conn := &togetherConn{encrypted, &limitedConn{batches: below}}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, client
}

// TestHTTP2IsWholeAndInOrder writes frames of all sizes, however many buffers there are.
func TestHTTP2IsWholeAndInOrder(t *testing.T) {
	t.Parallel()
	for name, buffers := range map[string]int64{"enough buffers": 0, "one buffer": maxBatches - 1, "no buffer": maxBatches} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, peer := togetherPair(t, time.Hour)
			batches := conn.limited.batches.batches
			batches.inUse.Store(buffers)
			wantWholeAndInOrder(t, conn, peer, batches, 64<<10, conn.Close, func(*rand.Rand) {})
		})
	}
}

func TestClientThatTakesNoHTTP2IsNoticed(t *testing.T) {
	t.Parallel()
	for name, buffers := range map[string]int64{"enough buffers": 0, "no buffer": maxBatches} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := togetherPair(t, time.Second)
			batches := conn.limited.batches.batches
			batches.inUse.Store(buffers)
			if err := awaitError(t, fillInBackground(conn)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("who reads the connection is told %v", err)
			}
			waitUntil(t, "the buffers to be given back", func() bool { return batches.inUse.Load() == buffers })
		})
	}
}

// TestClientThatTakesNoAnswersOfTLSIsNoticed writes what TLS itself does while the connection is read, such as its answers to key updates.
func TestClientThatTakesNoAnswersOfTLSIsNoticed(t *testing.T) {
	t.Parallel()
	conn, _ := togetherPair(t, time.Second)
	if err := awaitError(t, fillInBackground(conn.limited.batches)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestAbandonedHTTP2DoesNotDelayClose to a client that takes nothing.
func TestAbandonedHTTP2DoesNotDelayClose(t *testing.T) {
	t.Parallel()
	conn, _ := togetherPair(t, time.Hour)
	below := conn.limited.batches
	written := fillInBackground(conn)
	waitUntil(t, "the writer to wait", func() bool {
		below.mu.Lock()
		defer below.mu.Unlock()
		return below.writing
	})
	below.batches.abandon()
	closed := make(chan error, 1)
	go func() { closed <- conn.Close() }()
	_ = awaitError(t, closed)
	if err := awaitError(t, written); err == nil {
		t.Error("the writer is told nothing")
	}
}
