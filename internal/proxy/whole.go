package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/immichaccess/immichaccess/internal/http1"
)

// wholeResponse is a response that has arrived with all of its body, as most do that are short. It is read in the buffer of its
// connection, at less cost than by http.ReadResponse, to which all others are left.
type wholeResponse struct {
	status     int
	head, body int // how many bytes they have
	length     string
	headers    []header // to be passed on; kept to reuse its memory
}

type header struct{ name, value string }

// chunked is in the head of most responses that are not whole. It spares parsing them.
var chunked = []byte("\r\nTransfer-Encoding:")

// readWhole waits for a response. It returns false, and has read nothing, unless the response is whole.
func (c *persistentConn) readWhole(method string) (bool, error) {
	if _, err := c.reader.Peek(1); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // as http.ReadResponse does
		}
		return false, err
	}
	buffered, _ := c.reader.Peek(c.reader.Buffered()) // can't fail
	head := http1.HeadOf(buffered)
	if head == nil || bytes.Contains(head, chunked) {
		return false, nil
	}
	whole := c.whole.parse(string(head)) && c.whole.fits(method, len(buffered))
	if !whole {
		c.whole.forget()
	}
	return whole, nil
}

// parse returns false unless the head is one that all programs read alike, and needs no treatment.
func (w *wholeResponse) parse(head string) bool {
	w.head, w.length, w.headers = len(head), "", w.headers[:0]
	line, rest := http1.CutLine(head)
	if !w.parseStatus(line) {
		return false
	}
	for line, rest = http1.CutLine(rest); line != ""; line, rest = http1.CutLine(rest) {
		name, value, ok := http1.ParseHeader(line)
		if !ok || !w.add(name, value) {
			return false
		}
	}
	return true
}

func (w *wholeResponse) parseStatus(line string) bool {
	version, status, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(status, " ")
	number, err := strconv.Atoi(code)
	w.status = number
	return version == "HTTP/1.1" && http1.IsVisible(status, ' ') && err == nil && len(code) == 3 && number >= http.StatusOK
}

// add returns false for a header that says more about the connection than that it is kept, or that net/http treats specially.
func (w *wholeResponse) add(name, value string) bool {
	switch name {
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Keep-Alive":
		return true
	case "Content-Length":
		if w.length != "" || value == "" {
			return false
		}
		w.length = value
	default:
		if http1.IsSpecial(name) || isHopByHop(name) {
			return false
		}
	}
	w.headers = append(w.headers, header{name, value})
	return true
}

// fits reports whether there are as many bytes as the response has.
func (w *wholeResponse) fits(method string, buffered int) bool {
	length, err := strconv.ParseUint(w.length, 10, 31)
	if method == http.MethodHead || w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		w.body = 0
		return err == nil || w.length == ""
	}
	w.body = int(length)
	return err == nil && w.head+w.body <= buffered
}

// addTo adds the headers to those of the client's response.
func (w *wholeResponse) addTo(h http.Header) {
	values := make([]string, len(w.headers))
	for i, given := range w.headers {
		values[i] = given.value
		if present := h[given.name]; present != nil {
			h[given.name] = append(present[:len(present):len(present)], given.value)
			continue
		}
		h[given.name] = values[i : i+1 : i+1]
	}
}

// forget lets go of the head.
func (w *wholeResponse) forget() {
	clear(w.headers)
	w.length = ""
}

// passWhole sends a response that is whole to the client. The connection to Immich is released before: the client may be slow.
func (f *forwarder) passWhole(w http.ResponseWriter, r *http.Request, conn *persistentConn) {
	buffer := f.buffers.Get()
	defer f.buffers.Put(buffer)
	status, body := conn.whole.status, buffer[:conn.whole.body]
	conn.whole.addTo(w.Header())
	conn.whole.forget()
	_, _ = conn.reader.Discard(conn.whole.head)
	_, _ = io.ReadFull(conn.reader, body) // can't fail
	conn.release(true)
	doNotGuessType(w.Header())
	w.WriteHeader(status)
	if len(body) == 0 {
		return
	}
	if _, err := w.Write(body); err != nil {
		breakOff(r)
	}
}
