package fakeimmich

import (
	"net/http"
	"time"
)

// handlePublic adds what Immich shows to everyone.
func (s *Server) handlePublic() {
	for path, body := range map[string]any{
		"/api/server/version":     map[string]int{"major": 3, "minor": 1, "patch": 0},
		"/api/server/features":    map[string]bool{"passwordLogin": true, "oauth": false},
		"/api/server/config":      map[string]any{"isInitialized": true, "externalDomain": ""},
		"/api/server/media-types": map[string][]string{"image": {".jpg"}, "video": {".mp4"}},
		"/.well-known/immich":     map[string]any{"api": map[string]string{"endpoint": "/api"}},
		"/_app/version.json":      map[string]string{"version": "1"},
	} {
		s.routes.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, body) })
	}

	s.routes.HandleFunc("GET /apple-icon-180.png", serveIcon)
}

// serveIcon serves ranges of a picture, as Immich does for its own.
func serveIcon(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Etag", `"icon"`)
	http.ServeContent(w, r, "", time.Time{}, Content(64<<10))
}
