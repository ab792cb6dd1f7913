package http2

import "encoding/binary"

// preface is what a client sends before its first frame (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Types of frames (RFC 9113, section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	framePriority     = 2
	frameRSTStream    = 3
	frameSettings     = 4
	framePushPromise  = 5
	framePing         = 6
	frameGoAway       = 7
	frameWindowUpdate = 8
	frameContinuation = 9
)

// Flags. Which ones a frame may have depends on its type.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	frameHeadSize = 9
	// maxFrame is the size that every client accepts, and the largest that this server does.
	maxFrame = 16 << 10
)

// frame is the head of a frame.
type frame struct {
	length int
	kind   byte
	flags  byte
	stream uint32
}

func (f *frame) has(flag byte) bool {
	return f.flags&flag != 0
}

// highest is the largest stream number, and window; the highest bit of four bytes is reserved.
const highest = 1<<31 - 1

func parseFrame(head []byte) frame {
	return frame{
		length: int(binary.BigEndian.Uint32(head) >> 8),
		kind:   head[3],
		flags:  head[4],
		stream: binary.BigEndian.Uint32(head[5:]) & highest,
	}
}

// appendFrame appends the head of a frame; its length is below 1<<24.
func appendFrame(to []byte, length int, kind, flags byte, stream uint32) []byte {
	to = append(to, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(to, stream)
}

// appendNumber appends a frame whose content is a number.
func appendNumber(to []byte, kind byte, stream, number uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(to, 4, kind, 0, stream), number)
}

// appendData appends DATA frames.
func appendData(to []byte, stream uint32, p []byte, last bool) []byte {
	for {
		n, flags := min(len(p), maxFrame), byte(0)
		if last && n == len(p) {
			flags = flagEndStream
		}
		to = append(appendFrame(to, n, frameData, flags, stream), p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return to
		}
	}
}

// appendHeaders appends a field block, as HEADERS and CONTINUATION frames.
func appendHeaders(to []byte, stream uint32, block []byte, last bool) []byte {
	kind, flags := byte(frameHeaders), byte(0)
	if last {
		flags = flagEndStream
	}
	for {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		to = append(appendFrame(to, n, kind, flags, stream), block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return to
		}
		kind, flags = frameContinuation, 0
	}
}
