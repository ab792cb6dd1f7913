package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/readiness"
)

// batchPair returns both ends of a connection, of which the first writes in batches.
func batchPair(t testing.TB, idle time.Duration) (*batchConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := newBatches(idle)
	b.busyTime = time.Hour // however slow the machine is
	conn, err := b.listen(l).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = peer.Close()
	})
	_ = peer.SetDeadline(time.Now().Add(patience))
	return conn.(*batchConn), peer
}

// isIdle reports whether no background write is running, and no buffer is in use.
func (c *batchConn) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.writing && c.batches.inUse.Load() == 0
}

// recordSize is the size of TLS records during a download.
const recordSize = 16<<10 + 22

var record = bytes.Repeat([]byte("x"), recordSize)

// TestBatchesAreWholeAndInOrder mixes writes of all sizes, with deadlines and without.
func TestBatchesAreWholeAndInOrder(t *testing.T) {
	t.Parallel()
	for name, buffers := range map[string]int64{"enough buffers": 0, "one buffer": maxBatches - 1, "no buffer": maxBatches} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, peer := batchPair(t, time.Hour)
			conn.batches.inUse.Store(buffers)
			wantWholeAndInOrder(t, conn, peer, conn.batches, 3*recordSize, conn.CloseWrite, func(random *rand.Rand) {
				switch random.IntN(40) {
				case 0:
					_ = conn.SetWriteDeadline(time.Now().Add(time.Hour))
				case 1, 2, 3:
					_ = conn.SetWriteDeadline(time.Time{})
				}
			})
		})
	}
}

// TestWritesTogetherAreWholeAndInOrder mixes them with others, and needs one system call for each, if there is a buffer.
func TestWritesTogetherAreWholeAndInOrder(t *testing.T) {
	t.Parallel()
	for name, buffers := range map[string]int64{"enough buffers": 0, "one buffer": maxBatches - 1, "no buffer": maxBatches} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, peer := batchPair(t, time.Hour)
			conn.batches.inUse.Store(buffers)
			writer := &writesInPieces{conn: conn}
			wantWholeAndInOrder(t, writer, peer, conn.batches, 3*recordSize, conn.CloseWrite, func(random *rand.Rand) {
				writer.together = random.IntN(2) == 0
			})
		})
	}
}

// writesInPieces writes records, as TLS does, some of them together.
type writesInPieces struct {
	conn     *batchConn
	together bool
}

func (w *writesInPieces) Write(p []byte) (int, error) {
	if !w.together {
		return w.conn.Write(p)
	}
	limited := &limitedConn{Conn: w.conn, batches: w.conn}
	return len(p), limited.WriteTogether(func() error {
		for piece := range slices.Chunk(p, recordSize) {
			if _, err := w.conn.Write(piece); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestWritesTogetherNeedOneSystemCall(t *testing.T) {
	t.Parallel()
	conn, peer := batchPair(t, time.Hour)
	counted := &countedWrites{Conn: conn.Conn}
	conn.Conn = counted
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	writer := &writesInPieces{conn: conn, together: true}
	for n := 1; n <= 10; n++ {
		if _, err := writer.Write(make([]byte, 4*recordSize)); err != nil || counted.writes != n {
			t.Errorf("%d writes, %v", counted.writes, err)
		}
	}
}

type countedWrites struct {
	net.Conn

	writes int
}

func (c *countedWrites) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// wantWholeAndInOrder writes pieces of random sizes, most of them below the usual one, and wants all of them to arrive, and the buffers
// to be given back that they take. It calls before before each write, and end after the last one.
func wantWholeAndInOrder(t *testing.T, conn io.Writer, peer io.Reader, all *batches, usual int, end func() error, before func(*rand.Rand)) {
	t.Helper()
	const seed, writes = 1, 3000
	buffers := all.inUse.Load()
	random, sent := rand.New(rand.NewPCG(seed, seed)), sha256.New()
	var writer sync.WaitGroup
	writer.Go(func() {
		content := make([]byte, 3*batchSize)
		for i := range content {
			content[i] = byte(random.Uint32())
		}
		for range writes {
			size := random.IntN(usual)
			if random.IntN(50) == 0 {
				size = random.IntN(len(content))
			}
			before(random)
			piece := content[random.IntN(len(content)-size):][:size]
			if n, err := conn.Write(piece); err != nil || n != size {
				t.Errorf("%d of %d bytes, %v", n, size, err)
			}
			sent.Write(piece)
		}
		_ = end()
	})
	received := sha256.New()
	if _, err := io.Copy(received, peer); err != nil {
		t.Fatal(err)
	}
	writer.Wait()
	if !bytes.Equal(received.Sum(nil), sent.Sum(nil)) {
		t.Error("what is received is not what was sent")
	}
	if held := all.inUse.Load(); held != buffers {
		t.Errorf("%d buffers are not given back", held-buffers)
	}
}

// TestWriteWithDeadlineWaits closes the connection right after such a write, as net/http does, and loses nothing.
func TestWriteWithDeadlineWaits(t *testing.T) {
	t.Parallel()
	const writes = 64
	conn, peer := batchPair(t, time.Hour)
	_ = conn.Conn.(*readiness.Conn).SetWriteBuffer(recordSize) // so that much stays in the buffers
	go func() {
		defer func() { _ = conn.Close() }()
		for range writes {
			if _, err := conn.Write(record); err != nil {
				t.Error(err)
			}
		}
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, "end"); err != nil {
			t.Error(err)
		}
	}()
	if got, err := io.ReadAll(peer); err != nil || len(got) != writes*len(record)+len("end") {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// fillConn writes until that fails, to a peer that reads nothing. It returns how much was taken.
func fillConn(conn net.Conn) (int, error) {
	for written := 0; ; {
		n, err := conn.Write(record)
		written += n
		if err != nil {
			return written, err
		}
	}
}

// fillInBackground sends the error of fillConn when it fails.
func fillInBackground(conn net.Conn) <-chan error {
	failed := make(chan error, 1)
	go func() {
		_, err := fillConn(conn)
		failed <- err
	}()
	return failed
}

func TestClientThatTakesNothingIsNoticed(t *testing.T) {
	t.Parallel()
	conn, _ := batchPair(t, time.Second)
	if _, err := fillConn(conn); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read returns %v", err)
	}
	waitUntil(t, "the buffers to be given back", conn.isIdle)
}

func TestClientThatTakesNothingIsNoticedWithoutBuffers(t *testing.T) {
	t.Parallel()
	conn, _ := batchPair(t, time.Second)
	conn.batches.inUse.Store(maxBatches)
	conn.last = time.Now() // it is busy
	written := fillInBackground(conn)
	if err := awaitError(t, written); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read returns %v", err)
	}
}

// TestClientThatTakesNothingIsNoticedBetweenBatches has writes that are not many, as in a response that Immich sends slowly.
func TestClientThatTakesNothingIsNoticedBetweenBatches(t *testing.T) {
	t.Parallel()
	conn, _ := batchPair(t, time.Second)
	conn.batches.busyTime = 0
	written := fillInBackground(conn)
	if err := awaitError(t, written); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// stalledConn returns a connection whose peer reads nothing, without buffers of the kernel, and with all its own buffers full.
// The error is that of the writer.
func stalledConn(t *testing.T) (*batchConn, <-chan error) {
	t.Helper()
	end, peer := net.Pipe()
	b := newBatches(time.Hour)
	b.busyTime = time.Hour
	conn := newBatchConn(end, b)
	conn.last = time.Now()
	t.Cleanup(func() {
		_ = conn.Close()
		_ = peer.Close()
	})
	ended := make(chan error, 1)
	go func() {
		_, err := fillConn(conn)
		ended <- err
	}()
	waitUntil(t, "the writer to wait", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.writing && conn.pending != nil && len(*conn.pending) == batchSize
	})
	return conn, ended
}

// TestPastDeadlineEndsWrite does what transfer does to end a stalled download.
func TestPastDeadlineEndsWrite(t *testing.T) {
	t.Parallel()
	conn, ended := stalledConn(t)
	_ = conn.SetWriteDeadline(time.Unix(1, 0))
	if err := awaitError(t, ended); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestBatchesAreBounded counts what the connection takes beyond what the kernel has.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	conn, peer := batchPair(t, time.Second)
	taken, _ := fillConn(conn)
	got, _ := io.Copy(io.Discard, peer)
	if held := int64(taken) - got; held > 2*batchSize+int64(len(record)) {
		t.Errorf("%d bytes are held", held)
	}
}

// TestCloseLosesNothing has a server that closes the connection as soon as it has written, as net/http does after a response that ends
// a connection without TLS.
func TestCloseLosesNothing(t *testing.T) {
	t.Parallel()
	for range 50 {
		conn, peer := batchPair(t, time.Hour)
		const writes = 20
		for range writes {
			if _, err := conn.Write(record); err != nil {
				t.Fatal(err)
			}
		}
		go func() { _ = conn.Close() }()
		if got, err := io.ReadAll(peer); err != nil || len(got) != writes*len(record) {
			t.Fatalf("%d of %d bytes, %v", len(got), writes*len(record), err)
		}
	}
}

func TestAbandonedBatchesDoNotDelayClose(t *testing.T) {
	t.Parallel()
	conn, _ := stalledConn(t)
	conn.batches.abandon()
	ended := make(chan error, 1)
	go func() {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Hour)) // as TLS does for close_notify
		_, err := io.WriteString(conn, "close_notify")
		ended <- err
	}()
	if err := awaitError(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func awaitError(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("it still waits")
		return nil
	}
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			t.Fatal("timed out waiting for " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkBatches writes as TLS does, to a peer that reads.
func BenchmarkBatches(b *testing.B) {
	for name, wrap := range map[string]func(*batchConn) net.Conn{
		"in batches": func(c *batchConn) net.Conn { return c },
		"one by one": func(c *batchConn) net.Conn { return c.Conn },
	} {
		b.Run(name, func(b *testing.B) {
			conn, peer := batchPair(b, time.Hour)
			go func() {
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{peer}, make([]byte, 256<<10))
			}()
			to := wrap(conn)
			b.SetBytes(int64(len(record)))
			for b.Loop() {
				if _, err := to.Write(record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
