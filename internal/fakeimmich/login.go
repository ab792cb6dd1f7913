package fakeimmich

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	// jsonLimit is that of Immich's body parser, which reads a JSON body before the login is checked.
	jsonLimit = 10 << 20
	// SharedLink is the path of the one shared link that a server with logins has.
	SharedLink = "/share/holiday"
)

// NewWithLogin returns a Server that responds as Immich does without a login: errors in NestJS's format with a correlation ID,
// 401 to uploads before their body, and to JSON after it. Nobody can log in; each attempt is logged as Immich does.
func NewWithLogin(failedLogins io.Writer) *Server {
	s := &Server{routes: http.NewServeMux(), stall: stallTimeout}
	logger := log.New(failedLogins, "[Nest] 7  - ", 0)

	for path, body := range map[string]any{
		"/api/server/ping":        map[string]string{"res": "pong"},
		"/api/server/version":     map[string]int{"major": 3, "minor": 1, "patch": 0},
		"/api/server/features":    map[string]bool{"passwordLogin": true, "oauth": false},
		"/api/server/config":      map[string]any{"isInitialized": true, "externalDomain": ""},
		"/api/server/media-types": map[string][]string{"image": {".jpg"}, "video": {".mp4"}},
		"/.well-known/immich":     map[string]any{"api": map[string]string{"endpoint": "/api"}},
		"/_app/version.json":      map[string]string{"version": "1"},
	} {
		s.routes.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, body) })
	}

	s.routes.HandleFunc("POST /api/auth/login", func(w http.ResponseWriter, r *http.Request) { refuseLogin(w, r, logger) })
	s.routes.HandleFunc("/api/socket.io", serveEngineIO)
	s.routes.HandleFunc("/api/socket.io/{$}", serveEngineIO)
	s.routes.HandleFunc("/api/", s.requireLogin)
	s.routes.HandleFunc("GET "+SharedLink, writeSharedLink)
	s.routes.HandleFunc("GET /apple-icon-180.png", serveIcon)
	s.routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeIndex(w, "") })

	return s
}

// knownRoutes are the routes of Immich that its app uses and that need a login.
var knownRoutes = regexp.MustCompile(`^/api/(server/about|assets|sync/stream|search/metadata|download/archive|shared-links/me|users/profile-image|` +
	`assets/[0-9a-f-]{36}/(thumbnail|original|video/playback|video/stream/main\.m3u8))$`)

func (s *Server) requireLogin(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := readJSON(w, r, new(any)); err != nil {
			return
		}
	}

	switch {
	case !knownRoutes.MatchString(r.URL.Path):
		writeNestError(w, http.StatusNotFound, fmt.Sprintf("Cannot %s %s", r.Method, r.URL.Path))
	case r.URL.Query().Has("key"):
		writeNestError(w, http.StatusUnauthorized, "Invalid share key")
	default:
		s.refuseEarly(w, r)
	}
}

// refuseEarly responds before the body has arrived, and drains the rest.
func (s *Server) refuseEarly(w http.ResponseWriter, r *http.Request) {
	conn := http.NewResponseController(w)
	_ = conn.EnableFullDuplex()

	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		writeInterim(w, http.StatusContinue, nil)
	}

	writeNestError(w, http.StatusUnauthorized, "Authentication required")
	_ = conn.Flush()

	if drain(conn, r.Body, s.stall) != nil {
		panic(http.ErrAbortHandler) // or the rest of the body would be read as the next request
	}
}

// writeNestError writes an error in Immich 3's format, whose body does not repeat the status line.
func writeNestError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("X-Immich-Cid", "s7kq2m4c")
	writeJSON(w, status, map[string]string{"message": message})
}

// readJSON writes the error itself if the body is not JSON, or too large.
func readJSON(w http.ResponseWriter, r *http.Request, value any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, jsonLimit)).Decode(value)
	if err == nil {
		err = discardBody(r)
	}

	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		writeNestError(w, http.StatusRequestEntityTooLarge, "request entity too large")
	case err != nil && !errors.Is(err, io.EOF):
		writeNestError(w, http.StatusBadRequest, err.Error())
	default:
		return nil
	}

	return err
}

func refuseLogin(w http.ResponseWriter, r *http.Request, logger *log.Logger) {
	var login struct{ Email string }
	if readJSON(w, r, &login) != nil {
		return
	}

	logger.Printf("WARN [Api:AuthService] Failed login attempt for user %s from ip address %s", login.Email, clientAddress(r))
	writeNestError(w, http.StatusUnauthorized, "Incorrect email or password")
}

// clientAddress determines the client's address as Express does: from the right, the first one that is not a trusted proxy's.
func clientAddress(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	hops := append(strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ","), host)
	slices.Reverse(hops)

	client := host
	for _, hop := range hops {
		hop = strings.TrimSpace(hop)
		if hop == "" {
			continue
		}
		client = hop
		if !isTrustedProxy(hop) {
			break
		}
	}

	return client
}

func isTrustedProxy(text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && (address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast())
}

// serveEngineIO begins as Immich's socket.io does, and closes connections without a login.
func serveEngineIO(w http.ResponseWriter, r *http.Request) {
	w.Header().Del("Keep-Alive")

	if r.URL.Query().Get("transport") != "websocket" {
		writeJSON(w, http.StatusBadRequest, map[string]any{"code": 0, "message": "Transport unknown"})
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		writeJSON(w, http.StatusBadRequest, map[string]any{"code": 3, "message": "Bad request"})
		return
	}

	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()

	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	const open = `0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	if conn.Write(ctx, websocket.MessageText, []byte(open)) != nil {
		return
	}

	_, message, err := conn.Read(ctx)
	if err != nil || string(message) != "40" {
		return
	}
	for _, packet := range []string{`40{"sid":"wZX3oN0bSVIhsaknAAAC"}`, `42["error","unauthorized"]`, "41"} {
		if conn.Write(ctx, websocket.MessageText, []byte(packet)) != nil {
			return
		}
	}
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

// writeSharedLink includes a preview for messengers, with the public address as Immich sees it.
func writeSharedLink(w http.ResponseWriter, r *http.Request) {
	proto, host := "http", r.Host
	if forwarded := r.Header.Get("X-Forwarded-Proto"); forwarded != "" {
		proto = forwarded
	}
	if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" {
		host = forwarded
	}

	writeIndex(w, fmt.Sprintf(`<meta property="og:image" content="%s://%s/api/assets/1/thumbnail?key=holiday" />`, proto, host))
}

func writeIndex(w http.ResponseWriter, meta string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "<!doctype html><html><head><title>Immich</title>%s</head><body></body></html>", meta)
}

// serveIcon serves ranges of a picture, as Immich does for its own.
func serveIcon(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Etag", `"icon"`)
	http.ServeContent(w, r, "", time.Time{}, Content(64<<10))
}
