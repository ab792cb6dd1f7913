package immichaccess

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// uploadLimit limits request bodies. One of known length is checked by its header and costs nothing per byte: net/http
// enforces the length that the client announced.
type uploadLimit struct {
	bytes   int64 // 0: no limit
	text    string
	next    http.Handler
	deny    *denyResponder
	checked sync.Once // the entry point's readTimeout
}

func newUploadLimit(bytes int64, text string, next http.Handler, deny *denyResponder) *uploadLimit {
	return &uploadLimit{bytes: bytes, text: text, next: next, deny: deny}
}

// serve forwards a request that has, or may have, a body.
func (u *uploadLimit) serve(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 3 {
		r = breakable(r)
	} else {
		delete(r.Header, "Upgrade") // a proxy may (RFC 9110, section 7.8); tooLargeWriter could not switch protocols
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

// serveDownload forwards a request that normally has no body, although over HTTP/3 its length is unknown.
func (u *uploadLimit) serveDownload(w http.ResponseWriter, r *http.Request) {
	if u.bytes > 0 && r.ContentLength < 0 {
		r = withBody(r, http.MaxBytesReader(nil, r.Body, u.bytes))
	}
	u.next.ServeHTTP(w, r)
}

func (u *uploadLimit) serveKnown(w http.ResponseWriter, r *http.Request) {
	u.warnOfReadTimeout(r)
	u.next.ServeHTTP(w, r)
}

// warnOfReadTimeout warns at the first upload that Traefik will cut uploads, since the plugin can't lengthen the timeout.
func (u *uploadLimit) warnOfReadTimeout(r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return
	}
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.ReadTimeout <= 0 {
		return
	}
	u.checked.Do(func() {
		u.deny.log.warn(fmt.Sprintf("this entry point cuts every upload that takes longer than %s: in Traefik's static configuration, set "+
			"entryPoints.NAME.transport.respondingTimeouts.readTimeout to 0", server.ReadTimeout))
	})
}

// serveUnknown forwards a body of unknown length and counts its bytes.
func (u *uploadLimit) serveUnknown(w http.ResponseWriter, r *http.Request) {
	u.warnOfReadTimeout(r)
	body := &limitedBody{body: r.Body, limit: u.bytes, left: u.bytes}
	u.next.ServeHTTP(&tooLargeWriter{w: w, r: r, body: body, limit: u}, withBody(r, body))
}

// withBody returns a copy of the request. The original keeps its body: only then does net/http wait before it closes the
// connection on a client that is still sending, which would lose the response in a reset.
func withBody(r *http.Request, body io.ReadCloser) *http.Request {
	r = r.WithContext(r.Context())
	r.Body = body
	return r
}

// limitedBody fails when there is more than its limit, so that the upstream sees an aborted upload.
type limitedBody struct {
	body  io.ReadCloser
	limit int64
	left  int64
	over  int32 // atomic; 1 once the limit was exceeded
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		atomic.StoreInt32(&b.over, 1)
		return 0, &http.MaxBytesError{Limit: b.limit}
	}
	return n, err
}

func (b *limitedBody) Close() error {
	return b.body.Close()
}

// tooLargeWriter turns the 500 with which Traefik responds to a failed body into 413. In Yaegi it can't offer http.Flusher, so
// it flushes everything that it writes.
type tooLargeWriter struct {
	w        http.ResponseWriter
	r        *http.Request
	body     *limitedBody
	limit    *uploadLimit
	replaced bool
}

func (h *tooLargeWriter) Header() http.Header {
	return h.w.Header()
}

func (h *tooLargeWriter) WriteHeader(status int) {
	if status >= http.StatusInternalServerError && atomic.LoadInt32(&h.body.over) == 1 {
		h.replaced = true
		h.limit.deny.forSize(h.w, h.r, h.limit.text)
		return
	}
	h.w.WriteHeader(status)
	if status >= http.StatusOK {
		h.flush()
	}
}

func (h *tooLargeWriter) Write(p []byte) (int, error) {
	if h.replaced {
		return len(p), nil
	}
	n, err := h.w.Write(p)
	h.flush()
	return n, err
}

func (h *tooLargeWriter) flush() {
	if flusher, ok := h.w.(http.Flusher); ok {
		flusher.Flush()
	}
}

// breakable returns the request with a server in its context, which Traefik's HTTP/3 server does not put there. Only then does
// ReverseProxy abort the response when Immich closes the connection; without it, the response would end as if it were complete.
func breakable(r *http.Request) *http.Request {
	ctx := r.Context()
	if ctx.Value(http.ServerContextKey) != nil {
		return r
	}
	return r.WithContext(context.WithValue(ctx, http.ServerContextKey, someServer))
}

// someServer serves nothing: ReverseProxy only checks that there is one.
var someServer = &http.Server{ReadHeaderTimeout: time.Second}
