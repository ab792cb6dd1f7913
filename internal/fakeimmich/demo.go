package fakeimmich

import (
	"net/http"
	"path"
)

// NewDemo returns a Server that behaves as Immich does to a person who has logged in, so that all that a proxy must pass on can be
// tried: there are no logins, and there is the shared link named SharedLink.
func NewDemo() *Server {
	s := newServer()
	s.handlePublic()
	s.handleSocket(engineIO(keepSocket))
	s.routes.HandleFunc("GET /api/shared-links/me", describeSharedLink)

	return s
}

func describeSharedLink(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if name := path.Base(SharedLink); query.Get("key") != name && query.Get("slug") != name {
		refuseShareKey(w)
		return
	}

	writeJSON(w, http.StatusOK, map[string]any{"type": "ALBUM", "description": "Holiday", "allowUpload": false})
}
