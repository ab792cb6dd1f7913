package http1

import (
	"bufio"
	"net/http"
	"strconv"
	"time"

	"github.com/immichaccess/immichaccess/internal/semantics"
)

// sniffSize is how much of a response of unknown length is collected, as in net/http: if that is all, it gets a length.
const sniffSize = 2 << 10

// response is the http.ResponseWriter. What it writes is what net/http would.
type response struct {
	semantics.Body

	conn    *conn
	request *http.Request
	header  http.Header

	collected *bufio.Writer // before a body of unknown length
	headDone  bool
	done      bool // the handler has returned
	chunked   bool
	close     bool // the connection, after the response
	sayClose  bool // since the handler does not
	sniff     bool // nothing says what type the body has
	dated     bool
	err       error
}

func (w *response) init(c *conn, r *http.Request) {
	w.conn, w.request, w.header, w.close = c, r, http.Header{}, r.Close
}

func (w *response) Header() http.Header {
	return w.header
}

func (w *response) Write(p []byte) (int, error) {
	if w.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := w.Count(len(p)); err != nil {
		return 0, err
	}
	if w.collected != nil {
		return w.collected.Write(p)
	}
	return bodyWriter{w}.Write(p)
}

// Available returns how many bytes Write certainly takes without writing to the client. It is 0 unless the length is known: otherwise,
// there is more than the body and the rest of the head to write.
func (w *response) Available() int {
	const restOfHead = 512
	if w.Status == 0 || w.Length < 0 {
		return 0
	}
	return w.conn.writer.Available() - restOfHead
}

// bodyWriter writes the body in the form that it has on the connection.
type bodyWriter struct{ *response }

func (w bodyWriter) Write(p []byte) (int, error) {
	w.endHead(p)
	if w.request.Method == http.MethodHead {
		return len(p), nil
	}
	if w.chunked {
		w.writeString(strconv.FormatInt(int64(len(p)), 16) + "\r\n")
	}
	n := w.writeBody(p)
	if w.chunked {
		w.writeString("\r\n")
	}
	return n, w.err
}

// writeBody returns how much of p is written. What does not fit into the buffer takes several TLS records.
func (w *response) writeBody(p []byte) int {
	if len(p) <= w.conn.writer.Available() {
		n, err := w.conn.writer.Write(p)
		w.fail(err)
		return n
	}
	n := 0
	w.fail(w.conn.together(func() (err error) {
		n, err = w.conn.writer.Write(p)
		return err
	}))
	return n
}

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	if w.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.collected != nil {
		w.fail(w.collected.Flush())
	}
	w.endHead(nil)
	w.flush()
	return w.err
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	_ = w.FlushError()
}

// SetWriteDeadline is for the rest of the response.
func (w *response) SetWriteDeadline(t time.Time) error {
	return w.conn.writes.set(w, t)
}

// finish writes what is left when the handler has returned.
func (w *response) finish() {
	if w.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.done = true
	if w.collected != nil {
		w.fail(w.collected.Flush())
	}
	w.endHead(nil)
	if w.chunked {
		w.writeString("0\r\n")
		w.fail(w.FinalTrailers(w.header).Write(w.conn.writer))
		w.writeString("\r\n")
	}
	w.flush()
}

// isComplete reports whether the client can tell where the response ends, without the connection ending.
func (w *response) isComplete() bool {
	whole := w.Length < 0 || w.Length == w.Written || !w.IsAllowed() || w.request.Method == http.MethodHead
	return whole && !w.close && w.err == nil
}

func (w *response) write(p []byte) {
	_, err := w.conn.writer.Write(p)
	w.fail(err)
}

func (w *response) writeString(text string) {
	_, err := w.conn.writer.WriteString(text)
	w.fail(err)
}

func (w *response) flush() {
	w.fail(w.conn.writer.Flush())
}

func (w *response) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
