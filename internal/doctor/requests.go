package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	areaApp    = "App"
	sendWithin = time.Minute
	nobodysID  = "00000000-0000-4000-8000-000000000000"
	jsonType   = "application/json"
	formType   = "multipart/form-data; boundary=immichaccess-doctor"
	formEnd    = "--immichaccess-doctor--\r\n"
)

// kind is a kind of request that the app makes. Without a login, Immich refuses those that would reveal or change something,
// and those that would change something name nothing that exists.
type kind struct {
	name   string
	method string
	path   string
	header http.Header
	body   string
}

var kinds = []kind{
	{name: "settings of the server", method: http.MethodGet, path: "/api/server/config"},
	{name: "thumbnails", method: http.MethodGet, path: "/api/assets/" + nobodysID + "/thumbnail?size=preview"},
	{name: "originals", method: http.MethodGet, path: "/api/assets/" + nobodysID + "/original"},
	{name: "videos", method: http.MethodGet, path: "/api/assets/" + nobodysID + "/video/playback", header: http.Header{"Range": {"bytes=0-1"}}},
	{name: "video streams", method: http.MethodGet, path: "/api/assets/" + nobodysID + "/video/stream/main.m3u8"},
	{name: "sync", method: http.MethodPost, path: "/api/sync/stream", header: http.Header{"Content-Type": {jsonType}}, body: `{"types":[]}`},
	{name: "search", method: http.MethodPost, path: "/api/search/metadata", header: http.Header{"Content-Type": {jsonType}}, body: `{}`},
	{name: "downloads of albums", method: http.MethodPost, path: "/api/download/archive", header: http.Header{"Content-Type": {jsonType}}, body: `{"assetIds":[]}`},
	{name: "uploads", method: http.MethodPost, path: "/api/assets", header: http.Header{"Content-Type": {formType}}, body: formEnd},
	{name: "changes", method: http.MethodPut, path: "/api/assets", header: http.Header{"Content-Type": {jsonType}}, body: `{"ids":[]}`},
	{name: "deletions", method: http.MethodDelete, path: "/api/assets", header: http.Header{"Content-Type": {jsonType}}, body: `{"ids":[]}`},
}

// checkRequests sends each kind of request, and sorts those that do not reach Immich: if one is refused as if it had no key,
// the key was lost on the way; if not, something else handles it.
func (e *examination) checkRequests(ctx context.Context) {
	var keyless, lost []string
	var example string
	for _, k := range kinds {
		a := e.ask(ctx, k.method, k.path, e.withKey(k.header.Clone()), k.body)
		switch {
		case e.refusal != nil && a.isLike(e.refusal):
			keyless = append(keyless, k.name)
		case !a.isImmich():
			lost = append(lost, k.name)
			example = fmt.Sprintf("%s %s: %s", k.method, k.path, a)
		}
	}
	if len(keyless) > 0 {
		e.add(Finding{
			ID: "key-dropped", Level: Problem, Area: areaApp,
			Title:  "The key is lost on some requests",
			Seen:   "refused as if without it: " + strings.Join(keyless, ", "),
			Breaks: "These do not work in the app, though it is connected.",
		})
	}
	if len(lost) > 0 {
		e.add(Finding{
			ID: "request-blocked", Level: Problem, Area: areaApp,
			Title:  "Some requests do not reach Immich",
			Seen:   strings.Join(lost, ", ") + "; the last: " + example,
			Breaks: "These do not work in the app, though it is connected.",
		})
	}
	if len(keyless)+len(lost) == 0 {
		e.passed("requests", "Requests", fmt.Sprintf("%d kinds of request reach Immich", len(kinds)))
	}
	e.checkChunked(ctx)
}

// checkChunked uploads with an unknown length, as immich-go does.
func (e *examination) checkChunked(ctx context.Context) {
	a := e.sendRaw(ctx, e.head("/api/assets", http.Header{
		"Content-Type": {formType}, "Transfer-Encoding": {"chunked"}, "Connection": {"close"},
	}), fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(formEnd), formEnd))
	if a.isImmich() || e.refusal != nil && a.isLike(e.refusal) {
		return
	}
	e.add(Finding{
		ID: "chunked-refused", Level: Problem, Area: areaApp,
		Title:  "Uploads of unknown length are refused",
		Seen:   "POST /api/assets, chunked: " + a.String(),
		Breaks: "immich-go can't upload, nor can some Android phones.",
	})
}

// sendRaw writes a whole HTTP/1.1 request on a separate connection.
func (e *examination) sendRaw(ctx context.Context, parts ...[]byte) *answer {
	conn, err := e.dial(ctx)
	if err != nil {
		return &answer{err: err}
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
		return &answer{err: err}
	}
	for _, part := range parts {
		if _, err = conn.Write(part); err != nil {
			break
		}
	}
	a := e.receive(conn, patient)
	if a.err != nil && err != nil {
		a.err = err // otherwise, the response says more
	}
	return a
}
