package server

import (
	"slices"
	"testing"
)

// TestFramesInPieces finds the same frames, however the connection cuts them.
func TestFramesInPieces(t *testing.T) {
	t.Parallel()
	const sent = "\x00\x00\x05\x00\x01\x00\x00\x00\x03hello" + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x10\x01" +
		"\x00\x00\x00\x04\x01\x00\x00\x00\x00" + "\x00\x00\x01\x00\x00\x80\x00\x00\x05!"
	const settings = 4
	want := []frame{
		{kind: frameData, stream: 3, length: 5},
		{kind: frameWindowUpdate, length: 4, increment: 4097},
		{kind: settings},
		{kind: frameData, stream: 5, length: 1},
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

func TestBacklogIsShared(t *testing.T) {
	t.Parallel()
	b := newBacklog(100, 10)
	first, second := &watchedConn{backlog: b}, &watchedConn{backlog: b}
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
