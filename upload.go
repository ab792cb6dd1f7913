package immichaccess

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const defaultMaxUploadSize = "50000M"

// uploadLimit bounds request bodies. One of known length is judged by its header and costs nothing per byte: net/http
// holds it to what it announced.
type uploadLimit struct {
	bytes int64 // 0: no limit
	text  string
	next  http.Handler
	deny  *denials
	check sync.Once // of the entry point's readTimeout
}

func newUploadLimit(config *Config, next http.Handler, deny *denials, errs *problems) *uploadLimit {
	text := orDefault(strings.TrimSpace(config.MaxUploadSize), defaultMaxUploadSize)
	size, ok := parseSize(text)
	if !ok {
		errs.add("maxUploadSize", "%q is not a size; allowed are bytes (1048576) and nginx's units k, m and g (512k, 50000M, 50g) of less than 8 EiB, and 0 for no limit", text)
	}
	return &uploadLimit{bytes: size, text: text, next: next, deny: deny}
}

// parseSize reads nginx's syntax, where units are powers of 1024.
func parseSize(text string) (size int64, ok bool) {
	digits := strings.TrimRight(text, "kKmMgG")
	shift := map[string]uint{"": 0, "k": 10, "m": 20, "g": 30}
	bits, known := shift[strings.ToLower(text[len(digits):])]
	size, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || strings.ContainsAny(digits, "+-_") || size > math.MaxInt64>>bits {
		return 0, false
	}
	return size << bits, true
}

// serve forwards a request that has, or may have, a body.
func (u *uploadLimit) serve(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 3 {
		r = breakable(r)
	}
	switch {
	case u.bytes > 0 && r.ContentLength > u.bytes:
		u.deny.forSize(w, r, u.text)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		u.serveDownload(w, r)
	case u.bytes > 0 && r.ContentLength < 0:
		u.serveUnknown(w, r)
	default:
		u.serveKnown(w, r)
	}
}

// serveDownload forwards a request that has no body to speak of: with HTTP/3, its length is unknown all the same.
func (u *uploadLimit) serveDownload(w http.ResponseWriter, r *http.Request) {
	if u.bytes > 0 && r.ContentLength < 0 {
		r.Body = http.MaxBytesReader(nil, r.Body, u.bytes)
	}
	u.next.ServeHTTP(w, r)
}

func (u *uploadLimit) serveKnown(w http.ResponseWriter, r *http.Request) {
	u.warnOfReadTimeout(r)
	u.next.ServeHTTP(w, r)
}

// warnOfReadTimeout tells at the first upload that Traefik will cut uploads, since the plugin can't lengthen the time it has.
func (u *uploadLimit) warnOfReadTimeout(r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return
	}
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.ReadTimeout <= 0 {
		return
	}
	u.check.Do(func() {
		u.deny.log.warn(fmt.Sprintf("this entry point cuts every upload that takes longer than %s: in Traefik's static configuration, set "+
			"entryPoints.NAME.transport.respondingTimeouts.readTimeout to 0", server.ReadTimeout))
	})
}

// serveUnknown forwards a body of unknown length, and counts.
func (u *uploadLimit) serveUnknown(w http.ResponseWriter, r *http.Request) {
	u.warnOfReadTimeout(r)
	body := &countedBody{body: r.Body, limit: u.bytes, left: u.bytes}
	r.Body = body
	u.next.ServeHTTP(&honestWriter{w: w, r: r, body: body, limit: u}, r)
}

// countedBody fails when there is more than its limit, so that the upstream sees an aborted upload.
type countedBody struct {
	body  io.ReadCloser
	limit int64
	left  int64
	over  int32 // atomic; 1 once the limit was exceeded
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		atomic.StoreInt32(&b.over, 1)
		return 0, &http.MaxBytesError{Limit: b.limit}
	}
	return n, err
}

func (b *countedBody) Close() error {
	return b.body.Close()
}

// honestWriter turns the 500 that Traefik answers when a body fails into the 413 that it is. In Yaegi it can't offer
// http.Flusher, so it flushes all that it writes.
type honestWriter struct {
	w      http.ResponseWriter
	r      *http.Request
	body   *countedBody
	limit  *uploadLimit
	turned bool
}

func (h *honestWriter) Header() http.Header {
	return h.w.Header()
}

func (h *honestWriter) WriteHeader(status int) {
	if status >= http.StatusInternalServerError && atomic.LoadInt32(&h.body.over) == 1 {
		h.turned = true
		h.limit.deny.forSize(h.w, h.r, h.limit.text)
		return
	}
	h.w.WriteHeader(status)
	if status >= http.StatusOK {
		h.flush()
	}
}

func (h *honestWriter) Write(p []byte) (int, error) {
	if h.turned {
		return len(p), nil
	}
	n, err := h.w.Write(p)
	h.flush()
	return n, err
}

func (h *honestWriter) flush() {
	if flusher, ok := h.w.(http.Flusher); ok {
		flusher.Flush()
	}
}

// breakable returns the request with a server in its context, which Traefik's server of HTTP/3 does not put there. Only then
// does ReverseProxy break an answer off when Immich does; else it ends it, as if it were whole.
func breakable(r *http.Request) *http.Request {
	ctx := r.Context()
	if ctx.Value(http.ServerContextKey) != nil {
		return r
	}
	return r.WithContext(context.WithValue(ctx, http.ServerContextKey, &http.Server{}))
}
