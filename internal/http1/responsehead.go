package http1

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WriteHeader writes the head, but for the headers that depend on the body.
func (w *response) WriteHeader(status int) {
	switch {
	case w.status != 0:
		return
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	case status < http.StatusOK && status != http.StatusSwitchingProtocols:
		w.writeInterim(status)
		return
	}
	w.status = status
	w.announceLength()
	w.announceTrailers()
	said := w.header.Get("Connection") == "close"
	w.close = w.close || said || w.conn.server.stopping.Load()
	w.sayClose = w.close && !said
	w.writeStatus(status)
	_ = w.header.WriteSubset(w.conn.writer, w.excluded())
	_, w.dated = w.header["Date"]
	_, typed := w.header["Content-Type"]
	w.sniff = !typed && w.header.Get("Content-Encoding") == "" && w.header.Get("Transfer-Encoding") == ""
	if w.length < 0 {
		w.collected = bufio.NewWriterSize(bodyWriter{w}, sniffSize)
	}
}

func (w *response) writeInterim(status int) {
	w.writeStatus(status)
	_ = w.header.WriteSubset(w.conn.writer, map[string]bool{"Content-Length": true, "Transfer-Encoding": true})
	w.writeString("\r\n")
	w.flush()
}

func (w *response) writeStatus(status int) {
	text := http.StatusText(status)
	if text == "" {
		text = "status code " + strconv.Itoa(status)
	}
	for _, part := range []string{"HTTP/1.1 ", strconv.Itoa(status), " ", text, "\r\n"} {
		w.writeString(part)
	}
}

func (w *response) announceLength() {
	length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
	if err == nil && length >= 0 {
		w.length = length
	}
}

// excluded are the headers that are not written: those that the body or the connection decides.
func (w *response) excluded() map[string]bool {
	var exclude map[string]bool
	for name := range w.header {
		if w.excludes(name) {
			if exclude == nil {
				exclude = map[string]bool{}
			}
			exclude[name] = true
		}
	}
	return exclude
}

func (w *response) excludes(name string) bool {
	switch name {
	case "Connection":
		return w.sayClose
	case "Transfer-Encoding":
		return true
	case "Content-Length":
		return !w.allowsBody() || w.length < 0
	case "Content-Type":
		return w.status == http.StatusNotModified
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
	if w.done && w.length < 0 && w.allowsBody() && len(w.trailers) == 0 && (!isHead || len(body) > 0) {
		w.length = int64(len(body))
		w.writeString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	if w.sniff && len(body) > 0 {
		w.writeString("Content-Type: " + http.DetectContentType(body) + "\r\n")
	}
	if w.sayClose {
		w.writeString("Connection: close\r\n")
	}
	if w.chunked = !isHead && w.allowsBody() && w.length < 0; w.chunked {
		w.writeString("Transfer-Encoding: chunked\r\n")
	}
	w.writeString("\r\n")
}

func (w *response) announceTrailers() {
	for _, names := range w.header["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			w.trailers = append(w.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

func (w *response) finalTrailers() http.Header {
	trailers := http.Header{}
	for name, values := range w.header {
		if later, found := strings.CutPrefix(name, http.TrailerPrefix); found {
			trailers[later] = values
		}
	}
	for _, name := range w.trailers {
		trailers[name] = append(trailers[name], w.header[name]...)
	}
	return trailers
}
