package http2

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// collectSize is how much of a response is collected, as in net/http: if that is all, it gets a length.
const collectSize = 4 << 10

var collectors = sync.Pool{New: func() any {
	buffer := make([]byte, 0, collectSize)
	return &buffer
}}

// response is the http.ResponseWriter. What it writes is what net/http would.
type response struct {
	stream *stream
	header http.Header

	status    int // 0 until the response begins
	head      responseHead
	length    int64 // as announced, -1 if it was not
	written   int64
	collected *[]byte  // nil if there is nothing
	trailers  []string // names that were announced
	headSent  bool
	sniff     bool // nothing says what type the body has
	ended     bool
	returned  bool // the handler
}

func newResponse(s *stream) *response {
	return &response{stream: s, header: http.Header{}, length: -1}
}

func (w *response) Header() http.Header {
	return w.header
}

// WriteHeader sends interim responses at once, and the head of the other with the beginning of its body.
func (w *response) WriteHeader(status int) {
	switch {
	case w.status != 0 || w.returned:
		return
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	head := newHead(status, w.header)
	if head.interim {
		_, _ = w.stream.send(&head, nil, false)
		return
	}
	w.status, w.head = status, head
	w.announceLength()
	w.announceTrailers()
	if _, dated := w.header["Date"]; !dated {
		w.head.add("date", time.Now().UTC().Format(http.TimeFormat))
	}
	_, typed := w.header["Content-Type"]
	w.sniff = !typed && w.header.Get("Content-Encoding") == "" && w.allowsBody()
}

func (w *response) announceLength() {
	values := w.header["Content-Length"]
	if len(values) == 0 {
		return
	}
	length, err := strconv.ParseInt(values[0], 10, 64)
	if err == nil && length >= 0 {
		w.length = length
		w.head.add("content-length", values[0])
	}
}

func (w *response) announceTrailers() {
	for _, names := range w.header["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			w.trailers = append(w.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

func (w *response) allowsBody() bool {
	return w.status >= http.StatusOK && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

func (w *response) isHead() bool {
	return w.stream.request.Method == http.MethodHead
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.returned:
		return 0, errFinished
	case len(p) == 0:
		return 0, nil
	case !w.allowsBody():
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	if w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	if len(p) < collectSize {
		return w.collect(p)
	}
	if w.collected != nil {
		if err := w.flush(false); err != nil {
			return 0, err
		}
	}
	return w.send(p, w.isComplete())
}

// collect sends what is collected first if there is no room for p.
func (w *response) collect(p []byte) (int, error) {
	if w.collected != nil && len(*w.collected)+len(p) > collectSize {
		if err := w.flush(false); err != nil {
			return 0, err
		}
	}
	if w.collected == nil {
		w.collected = collectors.Get().(*[]byte)
	}
	*w.collected = append(*w.collected, p...)
	return len(p), nil
}

// isComplete is true of a response of known length when all of it is written: it ends with its last frame then.
func (w *response) isComplete() bool {
	return w.length >= 0 && w.written == w.length && len(w.trailers) == 0
}

// flush sends the head, and what is collected.
func (w *response) flush(last bool) error {
	var p []byte
	if w.collected != nil {
		defer collectors.Put(w.collected)
		p = *w.collected
		*w.collected = p[:0]
		w.collected = nil
	}
	_, err := w.send(p, last)
	return err
}

// send writes a part of the body, after the head if that was not sent. It returns how much of the part was written.
func (w *response) send(p []byte, last bool) (int, error) {
	body := p
	if w.isHead() {
		body, last = nil, true
	}
	head := w.takeHead(p)
	if w.ended || head == nil && len(body) == 0 && !last {
		return len(p), nil
	}
	w.ended = last
	n, err := w.stream.send(head, body, last)
	if w.isHead() && err == nil {
		n = len(p)
	}
	return n, err
}

// takeHead returns the head once, with the headers that depend on how the body begins.
func (w *response) takeHead(body []byte) *responseHead {
	if w.headSent {
		return nil
	}
	w.headSent = true
	if w.sniff && len(body) > 0 {
		w.head.add("content-type", http.DetectContentType(body))
	}
	if w.length < 0 && w.returned && w.allowsBody() && (len(body) > 0 || !w.isHead()) {
		w.head.add("content-length", strconv.Itoa(len(body)))
	}
	return &w.head
}

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.flush(false)
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	_ = w.FlushError()
}

// SetReadDeadline is that of the request's body.
func (w *response) SetReadDeadline(t time.Time) error {
	if b := w.stream.body; b != nil {
		b.setDeadline(t)
	}
	return nil
}

// SetWriteDeadline is that of the response. When it has passed, the stream is reset, as in net/http.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.stream.setWriteDeadline(t)
	return nil
}

// EnableFullDuplex does nothing: HTTP/2 always is.
func (w *response) EnableFullDuplex() error {
	return nil
}

// finish writes what is left when the handler has returned.
func (w *response) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.returned = true
	trailers := w.finalTrailers()
	_ = w.flush(len(trailers) == 0)
	if len(trailers) > 0 && !w.ended {
		head := newHead(0, trailers)
		_, _ = w.stream.send(&head, nil, true)
	}
}

func (w *response) finalTrailers() http.Header {
	var trailers http.Header
	add := func(name string, values []string) {
		if len(values) > 0 {
			if trailers == nil {
				trailers = http.Header{}
			}
			trailers[name] = append(trailers[name], values...)
		}
	}
	for name, values := range w.header {
		if later, found := strings.CutPrefix(name, http.TrailerPrefix); found {
			add(later, values)
		}
	}
	for _, name := range w.trailers {
		add(name, w.header[name])
	}
	return trailers
}
