package fakeimmich

import (
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

	s.routes.HandleFunc("GET /api/server/ping", ping)
	s.handlePublic()
	s.handleSocket(engineIO(refuseSocket))

	s.routes.HandleFunc("POST /api/auth/login", func(w http.ResponseWriter, r *http.Request) { refuseLogin(w, r, logger) })
	s.routes.HandleFunc("/api/", s.requireLogin)
	s.routes.HandleFunc("GET "+SharedLink, writeSharedLink)
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
		refuseShareKey(w)
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

func refuseShareKey(w http.ResponseWriter) {
	writeNestError(w, http.StatusUnauthorized, "Invalid share key")
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
