package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/iotest"

	"github.com/immichaccess/immichaccess/internal/http2frame"
)

const preface = http2frame.Preface

// frameOf returns an HTTP/2 frame of stream 1.
func frameOf(kind, flags byte, payload string) string {
	size := len(payload)
	return string([]byte{byte(size >> 16), byte(size >> 8), byte(size), kind, flags, 0, 0, 0, 1}) + payload
}

func repeat(text string, count int) string {
	return string(bytes.Repeat([]byte(text), count))
}

func TestClientsAcceptLargeFrames(t *testing.T) {
	t.Parallel()
	const (
		window = "\x00\x04\x00\x60\x00\x00"
		large  = "\x00\x05\x00\x01\x00\x00" // 65536
		rest   = "and what follows \x00\x00\x00\x04"
	)
	for name, c := range map[string]struct{ sent, read string }{
		"no settings":      {preface + frameOf(4, 0, "") + rest, preface + frameOf(4, 0, large) + rest},
		"others":           {preface + frameOf(4, 0, window) + rest, preface + frameOf(4, 0, window+large) + rest},
		"the smallest":     {preface + frameOf(4, 0, "\x00\x05\x00\x00\x40\x00"+window) + rest, preface + frameOf(4, 0, large+window) + rest},
		"the largest":      {preface + frameOf(4, 0, window+"\x00\x05\x00\xff\xff\xff") + rest, preface + frameOf(4, 0, window+large) + rest},
		"too small":        {preface + frameOf(4, 0, "\x00\x05\x00\x00\x3f\xff"), preface + frameOf(4, 0, "\x00\x05\x00\x00\x3f\xff")},
		"too large":        {preface + frameOf(4, 0, "\x00\x05\x01\x00\x00\x00"), preface + frameOf(4, 0, "\x00\x05\x01\x00\x00\x00")},
		"many":             {preface + frameOf(4, 0, repeat(window, 99)) + rest, preface + frameOf(4, 0, repeat(window, 99)+large) + rest},
		"as many as go":    {preface + frameOf(4, 0, repeat(window, 100)) + rest, preface + frameOf(4, 0, repeat(window, 100)) + rest},
		"too many":         {preface + frameOf(4, 0, repeat(window, 1000)) + rest, preface + frameOf(4, 0, repeat(window, 1000)) + rest},
		"half a setting":   {preface + frameOf(4, 0, "\x00\x05\x00") + rest, preface + frameOf(4, 0, "\x00\x05\x00") + rest},
		"another frame":    {preface + frameOf(1, 4, "head") + frameOf(4, 0, ""), preface + frameOf(1, 4, "head") + frameOf(4, 0, "")},
		"later settings":   {preface + frameOf(4, 0, "") + frameOf(4, 0, window), preface + frameOf(4, 0, large) + frameOf(4, 0, window)},
		"nothing":          {"", ""},
		"half a preface":   {preface[:10], preface[:10]},
		"only a preface":   {preface, preface},
		"half a head":      {preface + frameOf(4, 0, "")[:5], preface + frameOf(4, 0, "")[:5]},
		"only a head":      {preface + frameOf(4, 0, window)[:9], preface + frameOf(4, 0, window)[:9]},
		"half the payload": {preface + frameOf(4, 0, window+window)[:15], preface + frameOf(4, 0, window+window)[:15]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, conn := range map[string]io.Reader{"at once": bytes.NewReader([]byte(c.sent)), "byte by byte": iotest.OneByteReader(bytes.NewReader([]byte(c.sent)))} {
				if got, err := io.ReadAll(acceptLargeFrames(conn)); string(got) != c.read || err != nil {
					t.Errorf("%s, net/http reads %q, %v", way, got, err)
				}
			}
		})
	}
}

// TestErrorsOfClientsAreSeen wherever a connection fails.
func TestErrorsOfClientsAreSeen(t *testing.T) {
	t.Parallel()
	sent := preface + frameOf(4, 0, repeat("\x00\x04\x00\x60\x00\x00", 2)) + frameOf(8, 0, "\x00\x00\x00\x01")
	for length := range len(sent) {
		conn := io.MultiReader(bytes.NewReader([]byte(sent[:length])), iotest.ErrReader(net.ErrClosed))
		if _, err := io.ReadAll(acceptLargeFrames(conn)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after %d bytes: %v", length, err)
		}
	}
}

// split returns what the client gets of what net/http writes, in pieces of these sizes.
func split(written []byte, sizes func() int) []byte {
	var s frameSplitter
	var got []byte
	for len(written) > 0 {
		size := min(sizes(), len(written))
		for p := written[:size]; len(p) > 0; {
			var piece []byte
			piece, p = s.next(p)
			got = append(got, piece...)
		}
		written = written[size:]
	}
	return got
}

func TestLargeFramesAreSplit(t *testing.T) {
	t.Parallel()
	part := repeat("x", 16384)
	for name, c := range map[string]struct{ written, got string }{
		"empty":                 {frameOf(0, 1, ""), frameOf(0, 1, "")},
		"full":                  {frameOf(0, 1, part), frameOf(0, 1, part)},
		"a byte more":           {frameOf(0, 1, part+"y"), frameOf(0, 0, part) + frameOf(0, 1, "y")},
		"two full":              {frameOf(0, 0, part+part), frameOf(0, 0, part) + frameOf(0, 0, part)},
		"two full, at the end":  {frameOf(0, 1, part+part), frameOf(0, 0, part) + frameOf(0, 1, part)},
		"others are left alone": {frameOf(1, 5, part+part), frameOf(1, 5, part+part)},
		"one after another": {
			frameOf(1, 4, "head") + frameOf(0, 0, part+part+"y") + frameOf(8, 0, "1234") + frameOf(0, 1, part+part),
			frameOf(1, 4, "head") + frameOf(0, 0, part) + frameOf(0, 0, part) + frameOf(0, 0, "y") + frameOf(8, 0, "1234") + frameOf(0, 0, part) + frameOf(0, 1, part),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 1))
			for way, sizes := range map[string]func() int{
				"at once":      func() int { return len(c.written) },
				"byte by byte": func() int { return 1 },
				"in pieces":    func() int { return 1 + random.IntN(20000) },
			} {
				if got := split([]byte(c.written), sizes); string(got) != c.got {
					t.Errorf("%s, the client gets %d bytes instead of %d", way, len(got), len(c.got))
				}
			}
		})
	}
}

// dataWriter makes a DATA frame of each write.
type dataWriter struct{ io.Writer }

func (w dataWriter) Write(p []byte) (int, error) {
	_, err := io.WriteString(w.Writer, frameOf(0, 0, string(p)))
	return len(p), err
}

// dataReader reads what is in DATA frames, of which none may be larger than clients accept.
type dataReader struct {
	io.Reader

	t    *testing.T
	left int
}

func (r *dataReader) Read(p []byte) (int, error) {
	for r.left == 0 {
		head := make([]byte, http2frame.HeadSize)
		if _, err := io.ReadFull(r.Reader, head); err != nil {
			return 0, err
		}
		r.left = http2frame.Length(head)
		if r.left > frameSize || head[3] != http2frame.Data {
			r.t.Errorf("a frame of type %d has %d bytes", head[3], r.left)
		}
	}
	n, err := r.Reader.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// TestSettingsAreReadFromTheClient through TLS.
func TestSettingsAreReadFromTheClient(t *testing.T) {
	t.Parallel()
	conn, client := framePair(t, patience)
	const sent = preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := io.WriteString(client.(*tls.Conn), sent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent)+settingSize)
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.HasSuffix(got, []byte("\x00\x05\x00\x01\x00\x00")) {
		t.Errorf("%q, %v", got, err)
	}
}
