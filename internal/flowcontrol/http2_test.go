package flowcontrol

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/http2frame"
)

const patience = 20 * time.Second

// TestFramesInPieces finds the same frames in pieces of every size.
func TestFramesInPieces(t *testing.T) {
	t.Parallel()
	const sent = "\x00\x00\x05\x00\x01\x00\x00\x00\x03hello" + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x10\x01" +
		"\x00\x00\x00\x04\x01\x00\x00\x00\x00" + "\x00\x00\x01\x00\x00\x80\x00\x00\x05!"
	const settings = 4
	want := []frame{
		{kind: http2frame.Data, stream: 3, length: 5},
		{kind: http2frame.WindowUpdate, length: 4, increment: 4097},
		{kind: settings},
		{kind: http2frame.Data, stream: 5, length: 1},
	}
	for size := 1; size <= len(sent); size++ {
		var f frames
		var got []frame
		for piece := range slices.Chunk([]byte(sent), size) {
			f.read(piece, func(found frame) { got = append(got, found) })
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %+v", size, got)
		}
	}
}

func TestLimitIsShared(t *testing.T) {
	t.Parallel()
	b := newHTTP2(100, 10)
	first, second := &meteredConn{all: b}, &meteredConn{all: b}
	first.hold(111)
	second.hold(10)
	second.await() // it holds no more than it may

	waited := make(chan struct{})
	go func() {
		first.await()
		close(waited)
	}()
	first.hold(-1)
	<-waited
	first.hold(-200) // of which more was given back than was held
	if b.held != 0 || first.held != 0 {
		t.Errorf("%d are held, %d of them by one connection", b.held, first.held)
	}
}

// TestClosedConnectionHoldsNothing closes a connection for which another waits.
func TestClosedConnectionHoldsNothing(t *testing.T) {
	t.Parallel()
	b := newHTTP2(100, 10)
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	full := b.Conn(near, nil, time.Hour).(*meteredConn)
	other := &meteredConn{all: b}
	full.hold(200)
	other.hold(50)
	waited := make(chan struct{})
	go func() {
		other.await()
		close(waited)
	}()
	_ = full.Close()
	select {
	case <-waited:
	case <-time.After(patience):
		t.Fatal("the other waits for what no connection holds")
	}
}

// TestOnlyTheConnectionsWindowCounts extends the window of a stream whose data the connection still holds.
func TestOnlyTheConnectionsWindowCounts(t *testing.T) {
	t.Parallel()
	b := newHTTP2(100, 10)
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	t.Cleanup(func() { _ = near.Close() })
	c := &meteredConn{Conn: near, all: b}
	update := func(stream byte) []byte {
		return []byte{0, 0, 4, http2frame.WindowUpdate, 0, 0, 0, 0, stream, 0, 0, 0, 50}
	}
	_, _ = c.Write(update(0)) // the window itself
	c.hold(80)
	_, _ = c.Write(bytes.Repeat(update(1), 3))
	if c.held != 80 {
		t.Errorf("a stream's window makes it %d", c.held)
	}
	if _, _ = c.Write(update(0)); c.held != 30 {
		t.Errorf("the connection's window makes it %d", c.held)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x03\x01\x00\x00\x00\x00\x01abc\x00\x00\x00\x09\x04\x00\x00\x00\x01"), 5)
	f.Add([]byte("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x10\x01\x00\x00\x00\x08"), 1)
	f.Fuzz(func(t *testing.T, sent []byte, cut int) {
		cut = max(0, min(cut, len(sent)))
		var whole, pieces frames
		var found, again []frame
		whole.read(sent, func(next frame) { found = append(found, next) })
		pieces.read(sent[:cut], func(next frame) { again = append(again, next) })
		if n := pieces.pending(); n < 0 || n > int64(cut) {
			t.Errorf("%d bytes of a head are pending in %d", n, cut)
		}
		pieces.read(sent[cut:], func(next frame) { again = append(again, next) })
		if whole != pieces || len(found) != len(again) {
			t.Errorf("%+v and %+v", found, again)
		}
	})
}
