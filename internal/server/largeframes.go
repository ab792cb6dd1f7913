package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"

	"github.com/immichaccess/immichaccess/internal/http2frame"
)

// largeFrame is the size of the frames that net/http writes. For each it has a new goroutine, and switches several times between
// goroutines, which with the 16 KB that clients accept takes a twentieth of a download's time, and more on a busy machine. A connection
// keeps a buffer of this size after a download.
const largeFrame = 64 << 10

// As numbered in RFC 9113, section 6.5.
const (
	settingSize      = 6
	settingFrameSize = 5
	maxFrameSize     = 1<<24 - 1
)

// maxSettings is how many net/http accepts in a frame.
const maxSettings = 100

// acceptLargeFrames returns what a client of HTTP/2 sends, changed as if it accepted frames of largeFrame. Flow control does not count
// the heads of frames, so it does not matter to it that they are split again.
func acceptLargeFrames(conn io.Reader) io.Reader {
	return io.MultiReader(io.LimitReader(conn, int64(len(http2frame.Preface))), &firstFrame{conn: conn}, conn)
}

// firstFrame reads the first frame that a client sends, which has its settings.
type firstFrame struct {
	conn io.Reader
	rest *bytes.Reader // nil before it is received
}

func (f *firstFrame) Read(p []byte) (int, error) {
	if f.rest == nil {
		f.rest = bytes.NewReader(receiveSettings(f.conn))
	}
	return f.rest.Read(p)
}

// receiveSettings returns what has come if the connection ends before the frame does: the next read returns the error again.
func receiveSettings(conn io.Reader) []byte {
	frame := make([]byte, http2frame.HeadSize, http2frame.HeadSize+maxSettings*settingSize)
	if n, err := io.ReadFull(conn, frame); err != nil {
		return frame[:n]
	}
	length := http2frame.Length(frame)
	if frame[3] != http2frame.Settings || length%settingSize != 0 || length >= maxSettings*settingSize {
		return frame // for net/http to refuse, but for one that is full
	}
	frame = frame[:http2frame.HeadSize+length]
	if n, err := io.ReadFull(conn, frame[http2frame.HeadSize:]); err != nil {
		return frame[:http2frame.HeadSize+n]
	}
	return withLargeFrames(frame)
}

// withLargeFrames changes a frame of settings, unless net/http would refuse it.
func withLargeFrames(frame []byte) []byte {
	for setting := range slices.Chunk(frame[http2frame.HeadSize:], settingSize) {
		if binary.BigEndian.Uint16(setting) != settingFrameSize {
			continue
		}
		if size := binary.BigEndian.Uint32(setting[2:]); size >= frameSize && size <= maxFrameSize {
			binary.BigEndian.PutUint32(setting[2:], largeFrame)
		}
		return frame
	}
	frame = binary.BigEndian.AppendUint16(frame, settingFrameSize)
	frame = binary.BigEndian.AppendUint32(frame, largeFrame)
	http2frame.PutLength(frame, len(frame)-http2frame.HeadSize)
	return frame
}

// frameSplitter splits the DATA frames that net/http writes into those that every client accepts. net/http pads none.
type frameSplitter struct {
	head  [http2frame.HeadSize]byte // of the current frame, then of each of its parts
	have  int                       // of a head that is not complete
	flags byte                      // of the current frame
	left  int                       // of its payload
	part  int                       // of the payload of its current part
}

// next returns what to write first of p, and the rest of p. It keeps the beginning of a head until it has the end.
func (s *frameSplitter) next(p []byte) (piece, rest []byte) {
	switch {
	case s.part > 0:
		n := min(s.part, len(p))
		s.part -= n
		s.left -= n
		return p[:n], p[n:]
	case s.left > 0:
		return s.nextHead(), p
	}
	n := copy(s.head[s.have:], p)
	s.have += n
	if s.have < http2frame.HeadSize {
		return nil, p[n:]
	}
	s.have, s.left, s.flags = 0, http2frame.Length(s.head[:]), s.head[4]
	return s.nextHead(), p[n:]
}

// nextHead returns the head of the frame's next part. Only the last one ends the stream.
func (s *frameSplitter) nextHead() []byte {
	s.part, s.head[4] = s.left, s.flags
	if s.head[3] == http2frame.Data && s.left > frameSize {
		s.part, s.head[4] = frameSize, s.flags&^http2frame.EndStream
	}
	http2frame.PutLength(s.head[:], s.part)
	return s.head[:]
}
