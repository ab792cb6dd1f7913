package transfer

import (
	"io"
	"net/http"
	"sync/atomic"
)

// WithEarlyAnswers lets an answer reach the client while the client is still sending, as Immich's does for a photo it
// knows. On HTTP/1.1, where the client may go on sending, the rest of the body is then read and dropped: closing the
// connection could destroy the answer on its way. HTTP/2 and HTTP/3 tell the client to stop.
func WithEarlyAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.ContentLength == 0 || http.NewResponseController(w).EnableFullDuplex() != nil {
			next.ServeHTTP(w, r)
			return
		}
		body := &earlyBody{ReadCloser: r.Body}
		r.Body = body
		early := &earlyWriter{ResponseWriter: w, body: body, expects: r.Header.Get("Expect") != ""}
		next.ServeHTTP(early, r)
		early.finish()
	})
}

type earlyBody struct {
	io.ReadCloser

	begun atomic.Bool
	ended atomic.Bool // at its end, or by an error
}

func (b *earlyBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
	}
	return n, err
}

type earlyWriter struct {
	http.ResponseWriter

	body    *earlyBody
	expects bool // the client sends its body when it is told to
	refused bool
}

// WriteHeader announces the end of the connection when the body will not be read: a stranger's, one that is too large, or
// one that the client, seeing the answer, may well not send.
func (w *earlyWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		unread := !w.body.begun.Load()
		w.refused = status == http.StatusRequestEntityTooLarge || unread && (w.expects || status >= http.StatusBadRequest)
		if w.refused {
			w.Header().Set("Connection", "close")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *earlyWriter) finish() {
	if w.refused || w.body.ended.Load() || http.NewResponseController(w.ResponseWriter).Flush() != nil {
		return
	}
	_, _ = io.Copy(io.Discard, w.body)
}

// Flush is for those who ask for an http.Flusher.
func (w *earlyWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *earlyWriter) Unwrap() http.ResponseWriter {
	return w.ResponseWriter
}
