package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// receivedBody is what a handler gets of a request.
type receivedBody struct {
	content []byte
	reads   []int // how many bytes each had
	err     error
	trailer http.Header
	none    bool
	length  int64
}

// receiveBody reads with a buffer whose size is in the query.
func receiveBody(r *http.Request) receivedBody {
	b := receivedBody{none: r.Body == http.NoBody, length: r.ContentLength}
	size, _ := strconv.Atoi(r.URL.Query().Get("buffer"))
	for buffer := make([]byte, max(size, 1)); b.err == nil; {
		var n int
		n, b.err = r.Body.Read(buffer)
		b.content, b.reads = append(b.content, buffer[:n]...), append(b.reads, n)
	}
	b.trailer = r.Trailer
	return b
}

func (s served) received(t *testing.T) receivedBody {
	t.Helper()
	select {
	case b := <-s.bodies:
		return b
	case <-time.After(patience):
		t.Fatal("no body was received")
		return receivedBody{}
	}
}

func http3Frame(kind uint64, payload []byte) []byte {
	frame := quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload)))
	return append(frame, payload...)
}

// http3Fields is a frame with fields, which are names and values by turns.
func http3Fields(t *testing.T, fields ...string) []byte {
	t.Helper()
	var block bytes.Buffer
	encoder := qpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		if err := encoder.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	return http3Frame(http3Headers, block.Bytes())
}

// http3Head is that of a request whose body is read with a buffer of that size.
func http3Head(t *testing.T, buffer int, more ...string) []byte {
	t.Helper()
	path := "/body?buffer=" + strconv.Itoa(buffer)
	return http3Fields(t, append([]string{":method", "POST", ":scheme", "https", ":authority", "localhost", ":path", path}, more...)...)
}

func openStream(t *testing.T, conn *quic.Conn) *quic.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.SetDeadline(time.Now().Add(patience))
	return stream
}

// TestHTTP3BodiesInFramesOfAllKinds sends the same content in DATA frames of many sizes, empty ones too, with unknown frames between.
func TestHTTP3BodiesInFramesOfAllKinds(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	conn := s.dialQUIC(t)
	content := numbered(300_000)
	for _, buffer := range []int{1, 2, 100, 4096, 32 << 10, 1 << 20} {
		for _, unknown := range []bool{false, true} {
			for _, announced := range []bool{false, true} {
				want := content
				if buffer < 100 {
					want = content[:5000]
				}
				var head []string
				if announced {
					head = []string{"content-length", strconv.Itoa(len(want))}
				}
				request := http3Head(t, buffer, head...)
				sizes := []int{1, 0, 2, 63, 64, 1000, 16383, 16384, 50_000}
				for i, left := 0, want; len(left) > 0; i++ {
					n := min(sizes[i%len(sizes)], len(left))
					request = append(request, http3Frame(http3Data, left[:n])...)
					left = left[n:]
					if unknown {
						request = append(request, http3Frame(0x21, content[:n])...)
					}
				}
				stream := openStream(t, conn)
				go func() {
					_, _ = stream.Write(request)
					_ = stream.Close()
				}()
				got := s.received(t)
				if !errors.Is(got.err, io.EOF) || !bytes.Equal(got.content, want) {
					t.Errorf("buffer of %d, unknown frames %t, announced %t: %d bytes instead of %d, %v", buffer, unknown, announced, len(got.content), len(want), got.err)
				}
			}
		}
	}
}

// TestHTTP3BodiesByteByByte has every frame's head arrive in parts.
func TestHTTP3BodiesByteByByte(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	conn := s.dialQUIC(t)
	content := numbered(200)
	request := slices.Concat(http3Head(t, 1000), http3Frame(http3Data, content[:100]), http3Frame(0x21, content), http3Frame(http3Data, content[100:]))
	stream := openStream(t, conn)
	for _, b := range request {
		if _, err := stream.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // most bytes have a datagram of their own, but none must
	}
	_ = stream.Close()
	if got := s.received(t); !errors.Is(got.err, io.EOF) || !bytes.Equal(got.content, content) {
		t.Errorf("%d bytes, %v", len(got.content), got.err)
	}
}

// TestHTTP3ReadsTakeAllThatHasArrived sends several frames in one datagram.
func TestHTTP3ReadsTakeAllThatHasArrived(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	request := http3Head(t, 1000)
	for range 10 {
		request = append(request, http3Frame(http3Data, []byte("0123456789"))...)
	}
	stream := openStream(t, s.dialQUIC(t))
	_, _ = stream.Write(request)
	_ = stream.Close()
	if got := s.received(t); len(got.content) != 100 || got.reads[0] != 100 {
		t.Errorf("reads of %d bytes", got.reads)
	}
}

func TestHTTP3Trailers(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	stream := openStream(t, s.dialQUIC(t))
	_, _ = stream.Write(slices.Concat(http3Head(t, 1000, "trailer", "x-sum"), http3Frame(http3Data, []byte("content")),
		http3Fields(t, "x-sum", "1", "x-other", "2"), http3Frame(0x21, []byte("unknown"))))
	_ = stream.Close()
	got := s.received(t)
	if !errors.Is(got.err, io.EOF) || string(got.content) != "content" || got.trailer.Get("X-Sum") != "1" || len(got.trailer) != 1 {
		t.Errorf("%q, %v, trailers %v", got.content, got.err, got.trailer)
	}
}

// TestMalformedHTTP3Bodies sends bodies that must not look complete to the handler.
func TestMalformedHTTP3Bodies(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	data := http3Frame(http3Data, []byte("content"))
	const connection, stream = true, false
	for name, c := range map[string]struct {
		head []string
		body []byte
		ends bool // the connection, not only the stream
		code http3.ErrCode
	}{
		"longer than announced":               {[]string{"content-length", "6"}, data, stream, http3.ErrCodeMessageError},
		"one more frame than announced":       {[]string{"content-length", "7"}, slices.Concat(data, data), stream, http3.ErrCodeMessageError},
		"shorter than announced":              {[]string{"content-length", "8"}, data, stream, 0},
		"a truncated frame":                   {nil, data[:len(data)-1], connection, http3.ErrCodeFrameError},
		"a truncated head":                    {nil, append(bytes.Clone(data), http3Data), connection, http3.ErrCodeFrameError},
		"a truncated unknown frame":           {nil, append(bytes.Clone(data), 0x21, 9, 0), connection, http3.ErrCodeFrameError},
		"truncated trailers":                  {nil, append(bytes.Clone(data), http3Headers, 9, 0), connection, http3.ErrCodeFrameError},
		"SETTINGS":                            {nil, append(bytes.Clone(data), http3Frame(0x4, nil)...), connection, http3.ErrCodeFrameUnexpected},
		"PRIORITY of HTTP/2":                  {nil, append(bytes.Clone(data), http3Frame(0x2, nil)...), connection, http3.ErrCodeFrameUnexpected},
		"MAX_PUSH_ID":                         {nil, append(bytes.Clone(data), http3Frame(0xd, []byte{0})...), connection, http3.ErrCodeFrameUnexpected},
		"DATA after trailers":                 {nil, slices.Concat(data, http3Fields(t, "x-a", "b"), data), connection, http3.ErrCodeFrameUnexpected},
		"trailers after trailers":             {nil, slices.Concat(data, http3Fields(t, "x-a", "b"), http3Fields(t, "x-a", "b")), connection, http3.ErrCodeFrameUnexpected},
		"a pseudo-header field as trailer":    {nil, slices.Concat(data, http3Fields(t, ":path", "/")), stream, 0},
		"capitals in a trailer":               {nil, slices.Concat(data, http3Fields(t, "X-A", "b")), stream, 0},
		"a line break in a trailer":           {nil, slices.Concat(data, http3Fields(t, "x-a", "b\r\nc: d")), stream, 0},
		"a trailer that is of the head":       {nil, slices.Concat(data, http3Fields(t, "content-length", "7")), stream, 0},
		"a trailer that is hop-by-hop":        {nil, slices.Concat(data, http3Fields(t, "upgrade", "x")), stream, 0},
		"trailers that are no field block":    {nil, append(bytes.Clone(data), http3Frame(http3Headers, []byte{0, 0, 0xff, 0xff, 0xff})...), stream, 0},
		"trailers that are large":             {nil, slices.Concat(data, http3Frame(http3Headers, make([]byte, maxHead+1))), stream, 0},
		"trailers that are announced as huge": {nil, slices.Concat(data, []byte{http3Headers}, quicvarint.Append(nil, 1<<60), make([]byte, 10)), stream, 0},
		"trailers that are large when read":   {nil, slices.Concat(data, http3Frame(http3Headers, append([]byte{0, 0}, bytes.Repeat([]byte{0xff, 22}, 1000)...))), stream, 0},
	} {
		for _, buffer := range []int{1, 6, 1000} {
			conn := s.dialQUIC(t)
			request := openStream(t, conn)
			_, _ = request.Write(slices.Concat(http3Head(t, buffer, c.head...), c.body))
			_ = request.Close()
			got := s.received(t)
			if got.err == nil || errors.Is(got.err, io.EOF) || len(got.content) > 7 {
				t.Errorf("%s, buffer of %d: %q, %v", name, buffer, got.content, got.err)
			}
			if c.code == http3.ErrCodeMessageError && buffer > 1 && len(got.reads) > 2 {
				t.Errorf("%s, buffer of %d: the last of the reads of %d bytes gets an error", name, buffer, got.reads)
			}
			wantEnd(t, name, conn, request, c.ends, c.code)
		}
	}
}

// wantEnd wants the connection, or the stream, to end with the code. It may be 0 for a stream, which the server then ends as usual.
func wantEnd(t *testing.T, name string, conn *quic.Conn, stream *quic.Stream, ends bool, code http3.ErrCode) {
	t.Helper()
	if ends {
		select {
		case <-conn.Context().Done():
		case <-time.After(patience):
			t.Errorf("%s: the connection stays", name)
			return
		}
		ended, _ := errors.AsType[*quic.ApplicationError](context.Cause(conn.Context()))
		if ended == nil || ended.ErrorCode != quic.ApplicationErrorCode(code) {
			t.Errorf("%s: the connection ends with %v", name, context.Cause(conn.Context()))
		}
		return
	}
	_, err := io.Copy(io.Discard, stream)
	reset, _ := errors.AsType[*quic.StreamError](err)
	if code != 0 && (reset == nil || reset.ErrorCode != quic.StreamErrorCode(code)) {
		t.Errorf("%s: the stream ends with %v", name, err)
	}
	if conn.Context().Err() != nil {
		t.Errorf("%s: the connection has ended", name)
	}
}

// steppedStream is a request stream of which so much arrives at once.
type steppedStream struct {
	*bytes.Reader

	step int
}

func (s steppedStream) Read(p []byte) (int, error)       { return s.Reader.Read(p[:min(len(p), s.step)]) }
func (s steppedStream) CancelRead(quic.StreamErrorCode)  {}
func (s steppedStream) CancelWrite(quic.StreamErrorCode) {}

// FuzzHTTP3Body reads bodies byte by byte, and in larger pieces: the outcome must be the same.
func FuzzHTTP3Body(f *testing.F) {
	data, unknown := http3Frame(http3Data, []byte("content")), http3Frame(0x21, []byte("unknown"))
	for _, body := range [][]byte{data, unknown, slices.Concat(data, unknown, data), slices.Concat(unknown, data, http3Frame(http3Headers, []byte{0, 0})), data[:4]} {
		f.Add(body, uint8(3), uint8(5), int16(-1))
		f.Add(body, uint8(100), uint8(255), int16(7))
	}
	f.Fuzz(func(t *testing.T, body []byte, buffer, step uint8, length int16) {
		read := func(buffer, step int) (content []byte, err error) {
			b := &quicBody{stream: steppedStream{bytes.NewReader(body), step}, endConn: func(http3.ErrCode) {}, lacks: max(int64(length), -1)}
			for p := make([]byte, buffer); err == nil; {
				var n int
				n, err = b.Read(p)
				content = append(content, p[:n]...)
			}
			return content, err
		}
		want, wantErr := read(1, 1)
		got, gotErr := read(int(buffer)+1, int(step)+1)
		if !bytes.Equal(got, want) || !errors.Is(gotErr, wantErr) {
			t.Errorf("%q, %v in pieces of %d of %d; byte by byte %q, %v", got, gotErr, buffer, step, want, wantErr)
		}
	})
}

// TestHTTP3RequestsWithoutBodyAreKnown is about clients that end a request with its head. That may arrive later, so they have several attempts.
func TestHTTP3RequestsWithoutBodyAreKnown(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	conn := s.dialQUIC(t)
	waitFor(t, "a request without a body", func() bool {
		stream := openStream(t, conn)
		_, _ = stream.Write(http3Head(t, 10))
		_ = stream.Close()
		got := s.received(t)
		if !errors.Is(got.err, io.EOF) || len(got.content) > 0 {
			t.Fatalf("%q, %v", got.content, got.err)
		}
		return got.none && got.length == 0
	})
}

// TestHTTP3BodiesMayComeLater has a body begin when the handler already waits for it.
func TestHTTP3BodiesMayComeLater(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	stream := openStream(t, s.dialQUIC(t))
	_, _ = stream.Write(http3Head(t, 100))
	time.Sleep(10 * time.Millisecond) // any time will do
	_, _ = stream.Write(http3Frame(http3Data, []byte("content")))
	_ = stream.Close()
	if got := s.received(t); got.none || got.length >= 0 || string(got.content) != "content" || !errors.Is(got.err, io.EOF) {
		t.Errorf("%+v", got)
	}
}

// TestForbiddenTrailersAreForgotten announces one with one that is allowed.
func TestForbiddenTrailersAreForgotten(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Trailer = http.Header{"Content-Length": nil, "X-Checksum": nil}
	newQUICBody(&quicConn{}, nil, r)
	if _, kept := r.Trailer["X-Checksum"]; !kept || len(r.Trailer) != 1 {
		t.Errorf("announced: %v", r.Trailer)
	}
}
