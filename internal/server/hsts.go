package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

const hstsHeader = "Strict-Transport-Security"

// HSTS makes browsers use HTTPS only (RFC 6797). The header replaces Immich's own.
type HSTS struct {
	value   []string // nil: there is no header
	trusted atomic.Pointer[config.Networks]
}

// NewHSTS returns one that sends nothing if maxAge is 0.
func NewHSTS(maxAge time.Duration) *HSTS {
	h := &HSTS{}
	if maxAge > 0 {
		h.value = []string{fmt.Sprintf("max-age=%d", int64(maxAge/time.Second))}
	}
	h.Trust(nil)
	return h
}

// Trust sets the proxies whose X-Forwarded-Proto is trusted.
func (h *HSTS) Trust(proxies config.Networks) {
	h.trusted.Store(&proxies)
}

// OnHTTPS adds the header to all responses.
func (h *HSTS) OnHTTPS(next http.Handler) http.Handler {
	if h.value == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&hstsWriter{ResponseWriter: w, value: h.value}, r)
	})
}

// OnPlain adds the header to responses to clients that use HTTPS according to a trusted proxy. On plain HTTP browsers ignore
// it.
func (h *HSTS) OnPlain(next http.Handler) http.Handler {
	if h.value == nil {
		return next
	}
	withHeader := h.OnHTTPS(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.usesHTTPS(r) {
			withHeader.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *HSTS) usesHTTPS(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !h.trusted.Load().Contain(peer.Addr()) {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(strings.Join(r.Header["X-Forwarded-Proto"], ","))) {
	case "https", "wss":
		return true
	}
	return false
}

// hstsWriter adds the header when a response begins: until then, the handler may still set others.
type hstsWriter struct {
	http.ResponseWriter

	value []string
	begun bool
}

func (w *hstsWriter) WriteHeader(status int) {
	if !w.begun && status >= http.StatusOK {
		w.begun = true
		w.Header()[hstsHeader] = w.value
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *hstsWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// FlushError is what http.ResponseController calls.
func (w *hstsWriter) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack lets a request become a WebSocket. The caller then writes the headers itself.
func (w *hstsWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.Header()[hstsHeader] = w.value
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func (w *hstsWriter) Unwrap() http.ResponseWriter {
	return w.ResponseWriter
}
