package http1

import (
	"bufio"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/semantics"
	"golang.org/x/net/http/httpguts"
)

// WriteHeader writes the head, but for the headers that depend on the body.
func (w *response) WriteHeader(status int) {
	if w.Status != 0 {
		return
	}
	semantics.CheckStatus(status)
	if semantics.IsInterim(status) {
		w.writeInterim(status)
		return
	}
	w.Begin(status, w.header)
	said := w.first("Connection") == "close"
	w.close = w.close || said || w.conn.server.stopping.Load()
	w.sayClose = w.close && !said
	w.writeStatus(status)
	w.writeHeaders(w.excludes)
	_, w.dated = w.header["Date"]
	_, typed := w.header["Content-Type"]
	w.sniff = !typed && w.first("Content-Encoding") == "" && w.first("Transfer-Encoding") == ""
	if w.Length < 0 {
		w.collected = bufio.NewWriterSize(bodyWriter{w}, sniffSize)
	}
}

// first returns what Get of the header does, for a name in its canonical form.
func (w *response) first(name string) string {
	if values := w.header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func (w *response) writeInterim(status int) {
	w.writeStatus(status)
	w.writeHeaders(func(name string) bool { return name == "Content-Length" || name == "Transfer-Encoding" })
	w.writeString("\r\n")
	w.flush()
}

func (w *response) writeStatus(status int) {
	text := http.StatusText(status)
	if text == "" {
		text = "status code " + strconv.Itoa(status)
	}
	line := append(w.conn.writer.AvailableBuffer(), "HTTP/1.1 "...)
	line = append(append(strconv.AppendInt(line, int64(status), 10), ' '), text...)
	w.write(append(line, "\r\n"...))
}

// field is a header with its values.
type field struct {
	name   string
	values []string
}

var fieldLists = sync.Pool{New: func() any { return new([]field) }}

// writeHeaders writes headers in the order in which net/http does.
func (w *response) writeHeaders(excludes func(name string) bool) {
	list := fieldLists.Get().(*[]field)
	defer fieldLists.Put(list)
	fields := (*list)[:0]
	for name, values := range w.header {
		if !excludes(name) && httpguts.ValidHeaderFieldName(name) {
			fields = append(fields, field{name, values})
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for _, f := range fields {
		for _, value := range f.values {
			w.write(AppendHeader(w.conn.writer.AvailableBuffer(), f.name, value))
		}
	}
	clear(fields)
	*list = fields
}

// excludes is true of headers that are not written: those that the body or the connection decides.
func (w *response) excludes(name string) bool {
	switch name {
	case "Connection":
		return w.sayClose
	case "Transfer-Encoding":
		return true
	case "Content-Length":
		return !w.IsAllowed() || w.Length < 0
	case "Content-Type":
		return w.Status == http.StatusNotModified
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

// endHead writes the headers that depend on how the body begins.
func (w *response) endHead(body []byte) {
	if w.headDone {
		return
	}
	w.headDone = true
	if !w.dated {
		w.writeString("Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n")
	}
	isHead := w.request.Method == http.MethodHead
	if w.done && w.Length < 0 && w.IsAllowed() && len(w.Trailers) == 0 && (!isHead || len(body) > 0) {
		w.Length = int64(len(body))
		w.writeString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	if w.sniff && len(body) > 0 {
		w.writeString("Content-Type: " + http.DetectContentType(body) + "\r\n")
	}
	if w.sayClose {
		w.writeString("Connection: close\r\n")
	}
	if w.chunked = !isHead && w.IsAllowed() && w.Length < 0; w.chunked {
		w.writeString("Transfer-Encoding: chunked\r\n")
	}
	w.writeString("\r\n")
}
