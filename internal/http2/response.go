package http2

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/semantics"
)

// collectSize is how much of a response is collected, as in net/http: if that is all, it gets a length.
const collectSize = 4 << 10

var collectors = sync.Pool{New: func() any {
	buffer := make([]byte, 0, collectSize)
	return &buffer
}}

// response is the http.ResponseWriter. What it writes is what net/http would.
type response struct {
	semantics.Body

	stream *stream
	header http.Header

	head      responseHead
	collected *[]byte // nil if there is nothing
	headSent  bool
	sniff     bool // nothing says what type the body has
	ended     bool
	returned  bool // the handler
}

func newResponse(s *stream) *response {
	return &response{stream: s, header: http.Header{}}
}

func (w *response) Header() http.Header {
	return w.header
}

// WriteHeader sends interim responses at once, and the head of the other with the beginning of its body.
func (w *response) WriteHeader(status int) {
	if w.Status != 0 || w.returned {
		return
	}
	semantics.CheckStatus(status)
	head := newHead(status, w.header)
	if head.interim {
		_, _ = w.stream.send(&head, nil, false)
		return
	}
	w.Begin(status, w.header)
	w.head = head
	if w.Length >= 0 {
		w.head.add("content-length", w.header["Content-Length"][0])
	}
	if _, dated := w.header["Date"]; !dated {
		w.head.add("date", time.Now().UTC().Format(http.TimeFormat))
	}
	_, typed := w.header["Content-Type"]
	w.sniff = !typed && w.header.Get("Content-Encoding") == "" && w.IsAllowed()
}

func (w *response) isHead() bool {
	return w.stream.request.Method == http.MethodHead
}

func (w *response) Write(p []byte) (int, error) {
	if w.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.returned:
		return 0, errFinished
	case len(p) == 0:
		return 0, nil
	}
	if err := w.Count(len(p)); err != nil {
		return 0, err
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
	return w.Length >= 0 && w.Written == w.Length && len(w.Trailers) == 0
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
	if w.Length < 0 && w.returned && w.IsAllowed() && (len(body) > 0 || !w.isHead()) {
		w.head.add("content-length", strconv.Itoa(len(body)))
	}
	return &w.head
}

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	if w.Status == 0 {
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
	if w.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.returned = true
	trailers := w.FinalTrailers(w.header)
	_ = w.flush(len(trailers) == 0)
	if len(trailers) > 0 && !w.ended {
		head := newHead(0, trailers)
		_, _ = w.stream.send(&head, nil, true)
	}
}
