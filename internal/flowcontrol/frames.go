package flowcontrol

import "encoding/binary"

// clientPreface is what a client of HTTP/2 sends before its first frame.
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Frame types and the END_HEADERS flag, as numbered in RFC 9113.
const (
	frameData         = 0
	frameHeaders      = 1
	frameWindowUpdate = 8
	frameContinuation = 9

	flagEndHeaders = 4
)

// frame is the header of an HTTP/2 frame, and the content of a WINDOW_UPDATE.
type frame struct {
	kind      byte
	stream    uint32
	length    int64
	increment int64 // of a WINDOW_UPDATE
}

const (
	frameHead     = 9
	incrementSize = 4
)

// frames parses the frames in one direction of a connection, in pieces of any size.
type frames struct {
	skip int64 // bytes to skip
	head [frameHead + incrementSize]byte
	have int // of head

	// Of a request's head, in HEADERS and CONTINUATION frames:
	heads     int64 // how many are complete
	open      bool  // one is not
	last      bool  // the current frame is its last
	announced int64 // its length up to the end of the current frame
}

// read calls found for each frame whose head is complete with this piece.
func (f *frames) read(piece []byte, found func(frame)) {
	for len(piece) > 0 {
		if f.skip > 0 {
			n := min(f.skip, int64(len(piece)))
			f.skip -= n
			piece = piece[n:]
			f.endHead()
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

// wanted returns how many bytes of the frame are needed before found is called.
func (f *frames) wanted() int {
	if f.have >= frameHead && f.head[3] == frameWindowUpdate {
		return frameHead + incrementSize
	}
	return frameHead
}

func (f *frames) next(found func(frame)) {
	const notReserved = 1<<31 - 1
	head := frame{
		kind:   f.head[3],
		stream: binary.BigEndian.Uint32(f.head[5:]) & notReserved,
		length: int64(binary.BigEndian.Uint32(f.head[:]) >> 8),
	}
	if head.kind == frameWindowUpdate {
		head.increment = int64(binary.BigEndian.Uint32(f.head[frameHead:]) & notReserved)
	}
	f.skip = head.length - int64(f.have-frameHead)
	f.have = 0
	if head.kind == frameHeaders || head.kind == frameContinuation {
		f.open = true
		f.last = f.head[4]&flagEndHeaders != 0
		f.announced += frameHead + head.length
	}
	f.endHead()
	found(head)
}

// endHead counts a head when it is complete.
func (f *frames) endHead() {
	if f.open && f.last && f.skip <= 0 {
		f.open, f.last, f.announced = false, false, 0
		f.heads++
	}
}

// pending returns how many bytes of an unfinished head have been received, 0 without one.
func (f *frames) pending() int64 {
	if !f.open {
		return 0
	}
	return f.announced - max(f.skip, 0)
}
