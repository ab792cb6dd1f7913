package http2

import "fmt"

// errCode says why a stream or a connection ends (RFC 9113, section 7).
type errCode uint32

const (
	codeNone         errCode = 0
	codeProtocol     errCode = 1
	codeInternal     errCode = 2
	codeFlowControl  errCode = 3
	codeStreamClosed errCode = 5
	codeFrameSize    errCode = 6
	codeRefused      errCode = 7
	codeCompression  errCode = 9
	codeCalm         errCode = 11
)

// connError ends the connection.
type connError struct {
	code   errCode
	reason string
}

func (e connError) Error() string {
	return fmt.Sprintf("HTTP/2: %s (error %d)", e.reason, e.code)
}

// streamError ends a stream.
type streamError struct {
	stream uint32
	connError
}
