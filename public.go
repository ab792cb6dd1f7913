package immichaccess

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"sort"
	"strings"
)

// publicRoutes are Immich's routes that can work without a key, by the name that opens them, as of Immich 3.1. Everything
// else stays shut.
//
// A line is a method (GET stands for HEAD too), a path, and what the request must bring along: a link's key or slug, or a
// session key. Immich is the judge of these; here they only have to be there. In a path, {id} is a UUID and {any} one
// segment; a star at the end stands for the rest of a segment, and after a slash for any number of segments.
var publicRoutes = map[string]string{
	"ping": `
		GET    /api/server/ping`,
	"well-known": `
		GET    /.well-known/immich`,
	"oauth": `
		GET    /api/oauth/mobile-redirect
		POST   /api/oauth/backchannel-logout`,
	"session-media": `
		GET    /api/assets/{id}/thumbnail                             session
		GET    /api/assets/{id}/video/playback                        session`,
	"shared-links": `
		GET    /share/{any}
		GET    /share/{any}/photos/{id}
		GET    /s/{any}
		GET    /s/{any}/photos/{id}

		GET    /_app/*
		GET    /service-worker.js
		GET    /manifest.json
		GET    /favicon*
		GET    /apple-icon-180.png
		GET    /manifest-icon-*
		GET    /light_skeleton.png
		GET    /dark_skeleton.png
		GET    /feature-panel.png
		GET    /robots.txt
		GET    /custom.css

		GET    /api/server/config
		GET    /api/server/features
		GET    /api/server/media-types
		GET    /api/public/config

		GET    /api/shared-links/me                                   link
		POST   /api/shared-links/login                                link
		GET    /api/albums/{id}                                       link
		GET    /api/albums/{id}/map-markers                           link
		POST   /api/assets                                            link
		GET    /api/assets/{id}                                       link
		GET    /api/assets/{id}/original                              link
		GET    /api/assets/{id}/thumbnail                             link
		GET    /api/assets/{id}/video/playback                        link
		GET    /api/assets/{id}/video/stream/main.m3u8                link
		GET    /api/assets/{id}/video/stream/{any}/{any}/{any}        link
		DELETE /api/assets/{id}/video/stream/{any}                    link
		POST   /api/download/info                                     link
		POST   /api/download/archive                                  link
		POST   /api/search/metadata                                   link
		GET    /api/timeline/buckets                                  link
		GET    /api/timeline/bucket                                   link`,
}

// credentials are where a request can carry what a route asks for: in its query, or in a header.
var credentials = map[string]struct{ query, headers []string }{
	"link":    {query: []string{"key", "slug"}, headers: []string{"X-Immich-Share-Key", "X-Immich-Share-Slug"}},
	"session": {query: []string{"sessionKey"}},
}

// route is one line of publicRoutes.
type route struct {
	segments []string
	needs    string // of credentials; "" for nothing
}

// routes are those that were made public, by the method and the number of segments, so that few have to be compared.
type routes map[shape][]route

type shape struct {
	method string
	count  int // 0: any number
}

func newRoutes(names []string, errs *problems) routes {
	rs := routes{}
	for _, name := range names {
		lines, known := publicRoutes[strings.TrimSpace(name)]
		if !known {
			errs.add("publicRoutes", "%q is not known; allowed are %s", name, strings.Join(publicNames(), ", "))
		}
		for _, line := range strings.Split(lines, "\n") {
			rs.add(strings.Fields(line))
		}
	}
	return rs
}

func publicNames() []string {
	var names []string
	for name := range publicRoutes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// add takes the fields of a line: method, path, and perhaps a need.
func (rs routes) add(fields []string) {
	if len(fields) < 2 {
		return
	}
	rt := route{segments: split(fields[1])}
	if len(fields) > 2 {
		rt.needs = fields[2]
	}
	rs.put(fields[0], rt)
	if fields[0] == http.MethodGet {
		rs.put(http.MethodHead, rt)
	}
}

func (rs routes) put(method string, rt route) {
	s := shape{method, len(rt.segments)}
	if rt.segments[s.count-1] == "*" {
		s.count = 0
	}
	rs[s] = append(rs[s], rt)
}

func split(plainPath string) []string {
	return strings.Split(plainPath[1:], "/")
}

// include tells whether the request needs no key, whoever sends it.
func (rs routes) include(r *http.Request) bool {
	if len(rs) == 0 || !isPlain(r) {
		return false
	}
	segments := split(r.URL.Path)
	return anyMatches(rs[shape{r.Method, len(segments)}], segments, r) || anyMatches(rs[shape{r.Method, 0}], segments, r)
}

func anyMatches(candidates []route, segments []string, r *http.Request) bool {
	for _, candidate := range candidates {
		if candidate.matches(segments) && carries(r, candidate.needs) {
			return true
		}
	}
	return false
}

// matches looks at the end of a path first, where Immich's differ most.
func (rt route) matches(segments []string) bool {
	if len(segments) < len(rt.segments) {
		return false
	}
	for i := len(rt.segments) - 1; i >= 0; i-- {
		if !segmentMatches(rt.segments[i], segments[i]) {
			return false
		}
	}
	return true
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func segmentMatches(pattern, segment string) bool {
	switch {
	case pattern == "{id}":
		return uuid.MatchString(segment)
	case pattern == "{any}":
		return segment != ""
	case strings.HasSuffix(pattern, "*"):
		return segment != "" && strings.HasPrefix(segment, strings.TrimSuffix(pattern, "*"))
	}
	return segment == pattern
}

// carries tells whether the request brings what the route needs, not empty.
func carries(r *http.Request, need string) bool {
	if need == "" {
		return true
	}
	query := readAlike(r.URL)
	for _, name := range credentials[need].query {
		if query.Get(name) != "" {
			return true
		}
	}
	for _, name := range credentials[need].headers {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// readAlike returns the query if Immich's server reads the same in it: Express ends it at a "#" and after 1000 parameters, and
// then would take another credential of the request's for want of the link's.
func readAlike(u *url.URL) url.Values {
	if strings.Contains(u.RawQuery, "#") || strings.Count(u.RawQuery, "&") > 100 {
		return nil
	}
	return u.Query()
}

// needlessEscape is a percent-encoding that no client needs to write, or that servers read in different ways: of letters,
// digits and "-._~", of a slash, a backslash, a semicolon, a percent sign, and of control characters.
var needlessEscape = regexp.MustCompile(`(?i)%(3[0-9b]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9aef]|2[5def]|[01][0-9a-f])`)

// isPlain wants the one spelling of a path that everybody reads in the same way.
func isPlain(r *http.Request) bool {
	decoded := r.URL.Path
	if !strings.HasPrefix(decoded, "/") || path.Clean(decoded) != decoded || strings.ContainsAny(decoded, `\;%`) {
		return false
	}
	return !strings.Contains(r.URL.EscapedPath(), "%") || !needlessEscape.MatchString(r.URL.EscapedPath())
}
