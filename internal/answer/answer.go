// Package answer writes errors of the standalone proxy's own: JSON in the shape of Immich's for its clients, a page for a
// person at a browser. Package immichaccess does the same on its own, since Traefik interprets it; a test compares the two.
package answer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// StatusClientClosedRequest is nginx's; only the log shows it.
const StatusClientClosedRequest = 499

// Error responds to a request with an error. The message states the problem; advice, which only the page contains, what to do.
// The request's body is not read.
func Error(w http.ResponseWriter, r *http.Request, status int, message, advice string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if isNavigation(r) {
		writePage(w, status, message, advice)
		return
	}
	body, _ := json.Marshal(struct { // can't fail
		Message    string `json:"message"`
		Error      string `json:"error"`
		StatusCode int    `json:"statusCode"`
	}{message, reasonPhrase(status), status})
	h.Set("Content-Type", "application/json; charset=utf-8")
	write(w, status, body)
}

func writePage(w http.ResponseWriter, status int, title, advice string) {
	var body bytes.Buffer
	_ = page.Execute(&body, map[string]any{"Title": title, "Advice": advice, "Style": pageStyle}) // can't fail
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	write(w, status, body.Bytes())
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have closed the connection
}

// reasonPhrase is the one of NestJS, Immich's framework, which for 413 differs from net/http's.
func reasonPhrase(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return "Payload Too Large"
	case StatusClientClosedRequest:
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// isNavigation reports whether a browser requests a page: Fetch Metadata (https://www.w3.org/TR/fetch-metadata/) says so or,
// where browsers do not send that, as over plain HTTP, it accepts HTML. Requests to the API never get a page.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/") {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
