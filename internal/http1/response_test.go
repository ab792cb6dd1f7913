package http1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// responses are what handlers do.
var responses = map[string]http.HandlerFunc{
	"nothing": func(http.ResponseWriter, *http.Request) {},
	"short":   func(w http.ResponseWriter, _ *http.Request) { _, _ = write(w, "<html>short") },
	"long":    func(w http.ResponseWriter, _ *http.Request) { _, _ = write(w, strings.Repeat("long", 50000)) },
	"pieces": func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3000 {
			_, _ = write(w, strings.Repeat("x", i%7))
		}
	},
	"2048":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2048)) },
	"2049":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2049)) },
	"empty": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) },
	"length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("content-type", "text/x")
		_, _ = write(w, "hello")
	},
	"long length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200000")
		for range 4 {
			_, _ = write(w, strings.Repeat("x", 50000))
		}
	},
	"too little": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "50")
		_, _ = write(w, "hello")
	},
	"too much": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		_, _ = write(w, "hello")
		n, err := write(w, "world")
		if n != 0 || !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
	},
	"zero":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") },
	"guess": func(w http.ResponseWriter, _ *http.Request) { _, _ = write(w, "GIF89a") },
	"no guess": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = write(w, "GIF89a")
	},
	"encoded": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		_, _ = write(w, "GIF89a")
	},
	"guess long": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "6")
		_, _ = write(w, "GIF89a")
	},
	"flush": func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = write(w, "hello")
			_ = http.NewResponseController(w).Flush()
		}
	},
	"flush first": func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = write(w, "x")
	},
	"flush header": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		w.(http.Flusher).Flush()
	},
	"status": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(599)
		w.WriteHeader(http.StatusOK)
		w.Header().Set("Too", "late")
		_, _ = write(w, "hello")
	},
	"204": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusNoContent)
		if _, err := write(w, "hello"); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	},
	"304": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Type", "text/x")
		w.Header().Set("Etag", "x")
		w.WriteHeader(http.StatusNotModified)
	},
	"205": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusResetContent) },
	"interim": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "x")
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		_, _ = write(w, "hello")
	},
	"close": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = write(w, "hello")
	},
	"close late": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = write(w, "hello")
		w.Header().Set("Connection", "close")
	},
	"trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Trailer", "B, a")
		w.Header().Add("Trailer", "Missing")
		_, _ = write(w, "hello")
		w.Header().Set("A", "1")
		w.Header().Add("B", "2")
		w.Header().Add("B", "3")
		w.Header().Set(http.TrailerPrefix+"C", "4")
	},
	"late trailers": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = write(w, "hello")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"C", "4")
	},
	"header": func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["B"], h["lower"], h["A"], h["Bad Name"], h["None"] = []string{"1", "2"}, []string{" x "}, []string{"line\r\nend"}, []string{"x"}, nil
		h["Transfer-Encoding"] = []string{"chunked"}
		_, _ = write(w, strings.Repeat("x", 3000))
	},
	"huge header": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("A", strings.Repeat("x", 20000))
		_, _ = write(w, "x")
	},
	"abort": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = write(w, "hello")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	},
	"panic":       func(http.ResponseWriter, *http.Request) { panic("on purpose") },
	"abort early": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"abort later": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 3000))
		panic(http.ErrAbortHandler)
	},
	"deadline": func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		_, _ = write(w, "hello")
	},
}

// write does not use WriteString, which net/http divides into pieces of another size.
func write(w io.Writer, text string) (int, error) {
	return w.Write([]byte(text))
}

// TestResponsesAreThoseOfNetHTTP compares them byte by byte, and what comes after them.
func TestResponsesAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	both := startBoth(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/dated" {
			w.Header().Set("Date", "none")
		}
		if do := responses[r.URL.Query().Get("do")]; do != nil {
			do(w, r)
		}
	}))
	for do := range responses {
		for _, method := range []string{"GET", "HEAD"} {
			for _, connection := range []string{"keep-alive", "close"} {
				t.Run(method+" "+do+" "+connection, func(t *testing.T) {
					t.Parallel()
					text := fmt.Sprintf("%s /?do=%s HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n", method, strings.ReplaceAll(do, " ", "+"), connection)
					if connection == "keep-alive" {
						text += ending
					}
					want, got := converse(t, both.usual, text), converse(t, both.own, text)
					if got != want {
						t.Errorf("%s\nnet/http responds with\n%s", got, want)
					}
				})
			}
		}
	}
}

func TestResponsesHaveADate(t *testing.T) {
	t.Parallel()
	server, _ := newServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), time.Minute)
	conn, reader := openConn(t, listen(t, server))
	send(t, conn, first)
	date, err := http.ParseTime(skip(t, reader).Header.Get("Date"))
	if since := time.Since(date); err != nil || since < 0 || since > patience {
		t.Errorf("%v: %v", date, err)
	}
}
