package server

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// frame is what the head of an HTTP/2 frame tells, and of a WINDOW_UPDATE all of it.
type frame struct {
	kind      http2.FrameType
	stream    uint32
	length    int64
	increment int64 // of a WINDOW_UPDATE
}

const (
	frameHead     = 9
	incrementSize = 4
)

// frames finds the frames in one direction of a connection, in whatever pieces they come.
type frames struct {
	skip int64 // bytes to come that are of no interest
	head [frameHead + incrementSize]byte
	have int // of head
}

// read calls found for each frame whose head is complete with this piece.
func (f *frames) read(piece []byte, found func(frame)) {
	for len(piece) > 0 {
		if f.skip > 0 {
			n := min(f.skip, int64(len(piece)))
			f.skip -= n
			piece = piece[n:]
			continue
		}
		n := copy(f.head[f.have:f.wanted()], piece)
		f.have += n
		piece = piece[n:]
		if f.have == f.wanted() {
			f.next(found)
		}
	}
}

// wanted is how much of the frame has to be there before it can be told of.
func (f *frames) wanted() int {
	if f.have >= frameHead && http2.FrameType(f.head[3]) == http2.FrameWindowUpdate {
		return frameHead + incrementSize
	}
	return frameHead
}

func (f *frames) next(found func(frame)) {
	const notReserved = 1<<31 - 1
	head := frame{
		kind:   http2.FrameType(f.head[3]),
		stream: binary.BigEndian.Uint32(f.head[5:]) & notReserved,
		length: int64(binary.BigEndian.Uint32(f.head[:]) >> 8),
	}
	if head.kind == http2.FrameWindowUpdate {
		head.increment = int64(binary.BigEndian.Uint32(f.head[frameHead:]) & notReserved)
	}
	f.skip = head.length - int64(f.have-frameHead)
	f.have = 0
	found(head)
}
