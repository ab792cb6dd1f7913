// Package http2frame has what several packages need to know of HTTP/2 frames (RFC 9113, sections 3.4, 4.1 and 6).
package http2frame

import "encoding/binary"

// Preface is what a client sends before its first frame.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// HeadSize is the size in bytes of the head of each frame: length, type, flags and stream.
const HeadSize = 9

// Types of frames.
const (
	Data         = 0
	Headers      = 1
	Settings     = 4
	WindowUpdate = 8
	Continuation = 9
)

// Flags, in the fifth byte of a head: of DATA, and of HEADERS or CONTINUATION.
const (
	EndStream  = 1
	EndHeaders = 4
)

// Length returns the length in bytes of a frame's payload.
func Length(head []byte) int {
	return int(binary.BigEndian.Uint32(head) >> 8)
}

// PutLength changes the length, which must be below 1<<24.
func PutLength(head []byte, length int) {
	binary.BigEndian.PutUint32(head, uint32(length)<<8|uint32(head[3])) //nolint:gosec // as above
}
