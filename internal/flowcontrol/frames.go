package flowcontrol

import (
	"encoding/binary"

	"github.com/immichaccess/immichaccess/internal/http2frame"
)

// frame is the header of an HTTP/2 frame, and the content of a WINDOW_UPDATE.
type frame struct {
	kind      byte
	stream    uint32
	length    int64
	increment int64 // of a WINDOW_UPDATE
}

const incrementSize = 4

// frames parses the frames in one direction of a connection, in pieces of any size.
type frames struct {
	skip int64 // bytes to skip
	head [http2frame.HeadSize + incrementSize]byte
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
	if f.have >= http2frame.HeadSize && f.head[3] == http2frame.WindowUpdate {
		return http2frame.HeadSize + incrementSize
	}
	return http2frame.HeadSize
}

func (f *frames) next(found func(frame)) {
	const notReserved = 1<<31 - 1
	head := frame{
		kind:   f.head[3],
		stream: binary.BigEndian.Uint32(f.head[5:]) & notReserved,
		length: int64(http2frame.Length(f.head[:])),
	}
	if head.kind == http2frame.WindowUpdate {
		head.increment = int64(binary.BigEndian.Uint32(f.head[http2frame.HeadSize:]) & notReserved)
	}
	f.skip = head.length - int64(f.have-http2frame.HeadSize)
	f.have = 0
	if head.kind == http2frame.Headers || head.kind == http2frame.Continuation {
		f.open = true
		f.last = f.head[4]&http2frame.EndHeaders != 0
		f.announced += http2frame.HeadSize + head.length
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
