// Package fakeimmich imitates Immich's HTTP behaviour, as far as that is needed to test, demonstrate and benchmark a reverse proxy.
//
// It has uploads with early responses, ranges, a WebSocket, streams and interim responses. Everything else gets a page that
// shows the request as it arrived, and that makes the same kinds of requests as Immich's own page. Only checksums are stored,
// so uploads may have any size.
package fakeimmich

import (
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	announcedKeepAlive = "timeout=5"
	idleTimeout        = 6 * time.Second // Immich keeps connections a little longer than it announces
	stallTimeout       = 6 * time.Second
	headerTimeout      = time.Minute
)

// Server is an http.Handler that responds as Immich would. It is safe for concurrent use.
type Server struct {
	routes   *http.ServeMux
	requests atomic.Int64
	uploads  uploadLog
	known    sync.Map // checksums in hex, of the assets it has
	stall    time.Duration
}

// New returns a Server without any assets. Its WebSocket echoes every message.
func New() *Server {
	s := newServer()
	s.handleSocket(serveEcho)

	return s
}

// newServer returns a Server without a WebSocket.
func newServer() *Server {
	s := &Server{routes: http.NewServeMux(), stall: stallTimeout}

	s.routes.HandleFunc("GET /api/server/ping", ping)
	s.routes.HandleFunc("POST /api/assets", s.createAsset)
	s.routes.HandleFunc("POST /api/users/profile-image", s.storeFile)
	s.routes.HandleFunc("POST /api/admin/database-backups/upload", s.storeFile)

	s.routes.HandleFunc("GET /api/assets/{id}/original", serveAsset("application/octet-stream"))
	s.routes.HandleFunc("GET /api/assets/{id}/thumbnail", serveThumbnail)
	s.routes.HandleFunc("GET /api/assets/{id}/video/playback", serveAsset("video/mp4"))
	s.routes.HandleFunc("POST /api/download/archive", serveArchive)

	s.routes.HandleFunc("POST /api/sync/stream", syncStream)

	s.routes.HandleFunc("GET /api/server/slow", slow)
	s.routes.HandleFunc("GET /api/server/interim", interim)
	s.routes.HandleFunc("POST /api/server/trailers", trailers)
	s.routes.HandleFunc("GET /_app/page.js", serveScript)
	s.routes.HandleFunc("/", showRequest)

	return s
}

func (s *Server) handleSocket(handler http.HandlerFunc) {
	s.routes.HandleFunc("/api/socket.io", handler)
	s.routes.HandleFunc("/api/socket.io/{$}", handler)
}

// HTTPServer returns a server that closes idle connections when Immich does, and does not limit the duration of requests.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{Handler: s, IdleTimeout: idleTimeout, ReadHeaderTimeout: headerTimeout}
}

// Requests counts the requests that have reached the server.
func (s *Server) Requests() int64 {
	return s.requests.Load()
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)

	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "keep-alive")
		w.Header().Set("Keep-Alive", announcedKeepAlive)
	}

	if !isClean(r.URL.EscapedPath()) {
		showRequest(w, r) // ServeMux would redirect, which Immich does not
		return
	}

	s.routes.ServeHTTP(w, r)
}

func isClean(escapedPath string) bool {
	cleaned := path.Clean("/" + escapedPath)
	if cleaned != "/" && strings.HasSuffix(escapedPath, "/") {
		cleaned += "/"
	}

	return cleaned == escapedPath
}

func ping(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"res": "pong"})
}
