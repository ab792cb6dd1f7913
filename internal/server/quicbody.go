package server

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http/httpguts"
)

// Types of frames (RFC 9114, section 11.2.1).
const (
	http3Data    = 0x0
	http3Headers = 0x1
)

// fieldCost is what a field counts in addition to its name and value (RFC 9114, section 4.2.2).
const fieldCost = 32

var (
	errTruncated   = errors.New("the request stream has ended in the middle of a frame")
	errUnexpected  = errors.New("a frame that is not allowed in a request")
	errBodyTooLong = errors.New("the body is longer than announced")
	errTrailers    = errors.New("malformed trailers")
)

// quicBody is the body of a request, read from its stream instead of from http3.Server: one Read returns all that has arrived, not
// what one DATA frame has, so that it is passed on to Immich with fewer writes.
type quicBody struct {
	io.Closer // http3.Server's body

	stream  bodyStream
	endConn func(http3.ErrCode)
	trailer http.Header // as announced by the request

	mu    sync.Mutex
	rest  []byte // read, but not in place: no DATA, or not known yet
	start [16]byte
	left  int64 // bytes of the DATA frame
	lacks int64 // bytes of the announced length, -1 if none was announced
	err   error
}

// bodyStream is a quic.Stream.
type bodyStream interface {
	io.Reader
	CancelRead(code quic.StreamErrorCode)
	CancelWrite(code quic.StreamErrorCode)
}

// newQUICBody forgets announced trailers that may not be any, as on HTTP/2: http.Transport would refuse the request.
func newQUICBody(conn *quicConn, stream *quic.Stream, r *http.Request) *quicBody {
	maps.DeleteFunc(r.Trailer, func(name string, _ []string) bool { return !httpguts.ValidTrailerHeader(name) })
	return &quicBody{Closer: r.Body, stream: stream, endConn: conn.end, trailer: r.Trailer, lacks: r.ContentLength}
}

func (b *quicBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for n == 0 && len(p) > 0 && b.err == nil {
		n, b.err = b.read(p)
		n = b.count(n)
	}
	return n, b.err
}

func (b *quicBody) read(p []byte) (n int, err error) {
	if b.left == 0 && len(b.rest) > 0 {
		if err := b.nextData(); err != nil {
			return 0, err
		}
	}
	if len(b.rest) > 0 {
		n = copy(p[:min(int64(len(p)), b.left)], b.rest)
		b.rest = b.rest[n:]
		b.left -= int64(n)
		return n, nil
	}
	n, err = b.stream.Read(p)
	n = b.unframe(p[:n])
	switch {
	case !errors.Is(err, io.EOF):
		return n, err
	case b.left > 0:
		return n, b.violation(http3.ErrCodeFrameError, errTruncated)
	case len(b.rest) > 0:
		return n, nil // the stream returns io.EOF again
	}
	return n, io.EOF
}

// unframe takes the heads of DATA frames out of what has been read. It stops at anything else.
func (b *quicBody) unframe(read []byte) int {
	n := int(min(b.left, int64(len(read))))
	b.left -= int64(n)
	for from := n; from < len(read); {
		kind, length, size := frameHead(read[from:])
		if size == 0 || kind != http3Data {
			b.rest = append(b.start[:0], read[from:]...)
			break
		}
		from += size
		part := copy(read[n:], read[from:from+int(min(length, int64(len(read)-from)))])
		n += part
		from += part
		b.left = length - int64(part)
	}
	return n
}

// frameHead returns the type and the length of a frame, and the size of both, which is 0 if they are incomplete.
func frameHead(data []byte) (kind uint64, length int64, size int) {
	kind, first, err := quicvarint.Parse(data)
	if err != nil {
		return 0, 0, 0
	}
	announced, second, err := quicvarint.Parse(data[first:])
	if err != nil {
		return 0, 0, 0
	}
	return kind, int64(announced), first + second //nolint:gosec // it has 62 bits
}

// nextData reads up to the payload of the next DATA frame, beginning with the rest. After trailers, there may be none.
func (b *quicBody) nextData() error {
	for trailers := false; ; {
		kind, length, err := b.nextHead()
		switch {
		case err != nil:
			return err
		case kind == http3Data && !trailers:
			b.left = length
			return nil
		case kind == http3Headers && !trailers:
			trailers = true
			err = b.readTrailers(length)
		case isForbidden(kind):
			err = b.violation(http3.ErrCodeFrameUnexpected, errUnexpected)
		default:
			err = b.skip(length)
		}
		if err != nil {
			return err
		}
	}
}

// isForbidden is true of the frames that a body can't be followed by: those of other streams, those of HTTP/2, and, after trailers,
// DATA and HEADERS. Unknown ones are ignored.
func isForbidden(kind uint64) bool {
	const last, maxPushID = 0x9, 0xd
	return kind <= last || kind == maxPushID
}

// nextHead reads no more than the type and the length of a frame.
func (b *quicBody) nextHead() (kind uint64, length int64, err error) {
	for {
		kind, length, size := frameHead(b.rest)
		if size > 0 {
			b.rest = b.rest[size:]
			return kind, length, nil
		}
		had := copy(b.start[:], b.rest)
		n, err := b.stream.Read(b.start[had : had+1])
		b.rest = b.start[:had+n]
		switch {
		case n > 0:
		case errors.Is(err, io.EOF) && had > 0:
			return 0, 0, b.violation(http3.ErrCodeFrameError, errTruncated)
		case err != nil:
			return 0, 0, err
		}
	}
}

func (b *quicBody) readTrailers(length int64) error {
	if length > maxHead {
		return errTrailers
	}
	block := make([]byte, length)
	if err := b.readFull(block); err != nil {
		return err
	}
	size := 0
	for next := qpack.NewDecoder().Decode(block); ; {
		field, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		size += len(field.Name) + len(field.Value) + fieldCost
		if err != nil || size > maxHead || !isTrailer(field) {
			return errTrailers
		}
		name := http.CanonicalHeaderKey(field.Name)
		if _, announced := b.trailer[name]; announced {
			b.trailer[name] = append(b.trailer[name], field.Value)
		}
	}
}

func isTrailer(field qpack.HeaderField) bool {
	return httpguts.ValidHeaderFieldName(field.Name) && strings.ToLower(field.Name) == field.Name && field.Name != "upgrade" &&
		httpguts.ValidTrailerHeader(field.Name) && httpguts.ValidHeaderFieldValue(field.Value)
}

func (b *quicBody) readFull(p []byte) error {
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	_, err := io.ReadFull(b.stream, p[n:])
	return b.checkFrame(err)
}

func (b *quicBody) skip(length int64) error {
	n := min(length, int64(len(b.rest)))
	b.rest = b.rest[n:]
	_, err := io.CopyN(io.Discard, b.stream, length-n)
	return b.checkFrame(err)
}

// checkFrame is given the error of what reads a part of a frame.
func (b *quicBody) checkFrame(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.violation(http3.ErrCodeFrameError, errTruncated)
	}
	return err
}

// violation ends the connection.
func (b *quicBody) violation(code http3.ErrCode, err error) error {
	b.endConn(code)
	return err
}

// count holds the body to its announced length.
func (b *quicBody) count(n int) int {
	switch {
	case b.lacks < 0:
		return n
	case int64(n) > b.lacks, int64(n) == b.lacks && b.left > 0:
		b.stream.CancelRead(quic.StreamErrorCode(http3.ErrCodeMessageError))
		b.stream.CancelWrite(quic.StreamErrorCode(http3.ErrCodeMessageError))
		n, b.err = int(b.lacks), errBodyTooLong
	case errors.Is(b.err, io.EOF) && int64(n) < b.lacks:
		b.err = io.ErrUnexpectedEOF
	}
	b.lacks -= int64(n)
	return n
}
