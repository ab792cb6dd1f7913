package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// checkWellKnown sends the app's first request, which finds the API.
func (e *examination) checkWellKnown(ctx context.Context) {
	a := e.ask(ctx, http.MethodGet, "/.well-known/immich", e.withKey(nil), "")
	var document struct {
		API struct{ Endpoint string }
	}
	if a.status == http.StatusOK && json.Unmarshal(a.body, &document) == nil && document.API.Endpoint == "/api" {
		e.passed("well-known", "Discovery", "/.well-known/immich leads to /api")
		return
	}
	e.add(Finding{
		ID: "well-known", Level: Warning, Area: areaApp,
		Title:  "/.well-known/immich does not come from Immich",
		Seen:   fmt.Sprintf("GET /.well-known/immich: %s", a),
		Breaks: "The app looks there for the API, and may not connect unless you add /api to the address.",
	})
}
