package http2

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// serveNetHTTP returns the address of net/http's own server of HTTP/2.
func serveNetHTTP(t testing.TB, handler http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, Protocols: new(http.Protocols), ReadHeaderTimeout: patience, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0)}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// answers are handlers that answer in every way that there is.
var answers = map[string]http.HandlerFunc{
	"nothing":                func(http.ResponseWriter, *http.Request) {},
	"short":                  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
	"page":                   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello") },
	"long":                   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 300_000)) },
	"many pieces":            func(w http.ResponseWriter, _ *http.Request) { inPieces(w, 1000, 77) },
	"flushed pieces":         flushed,
	"length":                 withLength("5", "hello"),
	"length, too short":      withLength("9", "hello"),
	"length, too long":       withHeaders("hello", "Content-Length", "3", "Content-Type", "text/plain"),
	"length 0":               withLength("0", ""),
	"length that is none":    withLength("-1", "hello"),
	"length, long":           withLength("100000", strings.Repeat("x", 100_000)),
	"length, no body":        withLength("7", ""),
	"204":                    withStatus(http.StatusNoContent, ""),
	"204 with a body":        withStatus(http.StatusNoContent, "hello"),
	"304":                    withStatus(http.StatusNotModified, ""),
	"404":                    func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
	"599":                    withStatus(599, "hello"),
	"two statuses":           twoStatuses,
	"changed after the head": changedAfterwards,
	"no type": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	},
	"encoded":              withHeaders("hello", "Content-Encoding", "br"),
	"date":                 withHeaders("hello", "Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
	"no date":              func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil },
	"several values":       withHeaders("", "Set-Cookie", "a=1", "Set-Cookie", "b=2", "X-Empty", ""),
	"odd names and values": withHeaders("", "x-small", "1", "X Y", "2", "X-Line", "a\r\nb", "Ümlaut", "3", "X-Utf8", "ü"),
	"trailers":             trailers,
	"unannounced trailers": unannounced,
	"trailers without a body": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Sum", "1")
	},
	"trailers and a length": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "5"); trailers(w, r) },
	"early hints":           earlyHints,
	"panic":                 func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"panic after the beginning": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 10_000))
		panic(http.ErrAbortHandler)
	},
	"echo":           echo,
	"echo in pieces": func(w http.ResponseWriter, r *http.Request) { _ = http.NewResponseController(w).Flush(); echo(w, r) },
	"body not read":  withStatus(http.StatusForbidden, "no"),
	"past write deadline": func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
		_, _ = w.Write(make([]byte, 10_000))
	},
	"request": describe,
}

func inPieces(w http.ResponseWriter, count, size int) {
	for range count {
		_, _ = w.Write(make([]byte, size))
	}
}

func flushed(w http.ResponseWriter, _ *http.Request) {
	for i := range 5 {
		_, _ = fmt.Fprint(w, i)
		_ = http.NewResponseController(w).Flush()
	}
}

func withLength(length, body string) http.HandlerFunc {
	return withHeaders(body, "Content-Length", length)
}

func withHeaders(body string, pairs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			w.Header()[pairs[i]] = append(w.Header()[pairs[i]], pairs[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

func withStatus(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func twoStatuses(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	w.WriteHeader(http.StatusTeapot)
}

func changedAfterwards(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Before", "1")
	w.WriteHeader(http.StatusOK)
	w.Header().Set("X-After", "1")
	w.Header().Del("X-Before")
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Add("Trailer", "X-Sum, X-Not-Set")
	w.Header().Set("X-Other", "1")
	_, _ = io.WriteString(w, "hello")
	w.Header().Set("X-Sum", "1")
}

func unannounced(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "hello")
	_ = http.NewResponseController(w).Flush()
	w.Header().Set(http.TrailerPrefix+"X-Late", "1")
}

func earlyHints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</a>")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Set("Content-Length", "5")
	_, _ = io.WriteString(w, "hello")
}

func echo(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(w, r.Body)
	_, _ = fmt.Fprintf(w, "%d bytes, %v, then %v", n, err, r.Trailer)
}

// describe answers with what a handler sees.
func describe(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	_, _ = fmt.Fprintln(w, r.Method, r.URL.String(), r.URL.IsAbs(), r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host, r.ContentLength, r.TransferEncoding, r.TLS, len(body), err)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		_, _ = fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
	_, _ = fmt.Fprintln(w, r.Trailer, r.Context().Value(http.ServerContextKey) != nil, r.Context().Value(http.LocalAddrContextKey) != nil)
}

// requests are sent to each of the answers.
var requests = map[string]func() (*http.Request, error){
	"GET": func() (*http.Request, error) {
		return http.NewRequest(http.MethodGet, "http://HOST/a/b%20c?d=e&f", nil)
	},
	"HEAD": func() (*http.Request, error) { return http.NewRequest(http.MethodHead, "http://HOST/", nil) },
	"POST": func() (*http.Request, error) {
		return http.NewRequest(http.MethodPost, "http://HOST/", strings.NewReader("some content"))
	},
	"POST of nothing": func() (*http.Request, error) {
		return http.NewRequest(http.MethodPost, "http://HOST/", http.NoBody)
	},
	"long POST": func() (*http.Request, error) {
		return http.NewRequest(http.MethodPost, "http://HOST/", strings.NewReader(strings.Repeat("x", 200_000)))
	},
	"PUT of unknown length": func() (*http.Request, error) {
		r, err := http.NewRequest(http.MethodPut, "http://HOST/", io.MultiReader(strings.NewReader("some"), strings.NewReader("content")))
		r.Header = http.Header{"Cookie": {"a=1", "b=2"}, "X-Twice": {"1", "2"}, "X-Empty": {""}}
		r.Trailer = http.Header{"X-Sum": {"7"}}
		return r, err
	},
	"OPTIONS *": func() (*http.Request, error) {
		r, err := http.NewRequest(http.MethodOptions, "http://HOST/", nil)
		r.URL.Opaque = "*"
		return r, err
	},
	"Expect": func() (*http.Request, error) {
		r, err := http.NewRequest(http.MethodPost, "http://HOST/", strings.NewReader("expected"))
		r.Header.Set("Expect", "100-continue")
		return r, err
	},
}

// outcome is what a client sees.
type outcome struct {
	failed   bool // without a response
	status   int
	header   http.Header
	length   int64
	body     string
	complete bool
	trailer  http.Header
}

func exchange(t *testing.T, client *http.Client, address string, create func() (*http.Request, error)) outcome {
	t.Helper()
	r, err := create()
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Host, r.Host = address, "photos.example.com"
	response, err := client.Do(r)
	if err != nil {
		return outcome{failed: true}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if len(response.Header["Date"]) == 1 && !strings.Contains(response.Header.Get("Date"), "1994") {
		response.Header.Set("Date", "now")
	}
	if err != nil {
		body = nil // how much has come is a matter of time
	}
	return outcome{false, response.StatusCode, response.Header, response.ContentLength, string(body), err == nil, response.Trailer}
}

// TestAnswersAreThoseOfNetHTTP compares this server with net/http's.
func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	client := newClient(t)
	for name, answer := range answers {
		s, usual := serve(t, answer), serveNetHTTP(t, answer)
		for kind, create := range requests {
			got, want := exchange(t, client, s.address, create), exchange(t, client, usual, create)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s:\n%+v\ninstead of\n%+v", name, kind, got, want)
			}
		}
	}
}
