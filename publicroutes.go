package immichaccess

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"
)

// publicRoutes are Immich's routes that can work without a key, by the name that makes them public, as of Immich 3.1.
// Everything else needs a key.
//
// A line is a method (GET stands for HEAD too), a path, and the credential that the request must carry: a shared link's
// ("link") or a session key ("session"). Immich checks these; here they only have to be present. In a path, {id} is a UUID
// and {any} one segment; a star at the end stands for the rest of a segment, and after a slash for any number of segments.
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

// credential is a kind of credential, and where a request can carry it. Immich takes the first kind of the request that is
// not empty (auth.service.ts, validate).
type credential struct {
	name    string
	queries []string
	headers []string
}

var credentials = []credential{
	{name: "link", queries: []string{"key", "slug"}, headers: []string{"X-Immich-Share-Key", "X-Immich-Share-Slug"}},
	{name: "session", queries: []string{"sessionKey"}},
	{
		name:    "user", // which no public route lets through
		queries: []string{"apiKey"},
		headers: []string{"X-Immich-User-Token", "X-Immich-Session-Token", "Authorization", "X-Api-Key"},
	},
}

// credentialCookies log users in. The one of a shared link with a password, immich_shared_link_token, is not among them.
var credentialCookies = []string{"immich_access_token", "immich_maintenance_token"}

// route is one line of publicRoutes.
type route struct {
	segments   []string
	credential string         // by its name; "" for none
	passes     string         // the credential that the request may carry on to Immich
	foreign    *regexp.Regexp // the names of parameters that carry another
}

// routes are those that were made public, by the method and the number of segments, so that few have to be compared.
type routes map[shape][]route

type shape struct {
	method string
	count  int // 0: any number
}

// passing names the credential that requests to the routes may carry. Their order is Immich's: where a route is public by
// two names, the link counts first.
var passing = []struct{ routes, credential string }{
	{"shared-links", "link"}, {"session-media", "session"}, {"oauth", ""}, {"ping", ""}, {"well-known", ""},
}

func parsePublicRoutes(names []string, errs *problems) routes {
	wanted := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if publicRoutes[name] == "" {
			errs.add("publicRoutes", "%q is unknown; allowed are %s", name, strings.Join(publicNames(), ", "))
		}
		wanted[name] = true
	}
	rs := routes{}
	for _, p := range passing {
		if !wanted[p.routes] {
			continue
		}
		foreign := parametersExcept(p.credential)
		for _, line := range strings.Split(publicRoutes[p.routes], "\n") {
			rs.add(strings.Fields(line), p.credential, foreign)
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

// add takes the fields of a line: method, path, and perhaps a credential.
func (rs routes) add(fields []string, passes string, foreign *regexp.Regexp) {
	if len(fields) < 2 {
		return
	}
	rt := route{segments: split(fields[1]), passes: passes, foreign: foreign}
	if len(fields) > 2 {
		rt.credential = fields[2]
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

// admit reports whether the request needs no key. It then removes every credential but that of the shared link or session that
// the route is for, so that safety does not depend on both sides parsing the request in the same way.
func (rs routes) admit(r *http.Request) bool {
	if len(rs) == 0 || isExcessive(r) || ambiguous.MatchString(r.URL.RawQuery) || !isCanonicalPath(r) {
		return false
	}
	segments := split(r.URL.Path)
	matched := firstMatch(rs[shape{r.Method, len(segments)}], segments, r)
	if matched == nil {
		matched = firstMatch(rs[shape{r.Method, 0}], segments, r)
	}
	if matched == nil {
		return false
	}
	delete(r.Header, "Upgrade") // no public route needs a connection of its own
	removeCredentials(r, matched)
	return true
}

// ambiguous is what Immich reads in ways of its own in a query: blanks and bytes beyond ASCII, and a "#", where Express ends
// it. A blank, which HTTP/2 and HTTP/3 can carry, would end the whole URL over HTTP/1.1, in which Immich gets it.
var ambiguous = regexp.MustCompile(`[^!-~]|#`)

// mostParameters is more than any page of Immich sends. Express ends a query after 1000.
const mostParameters = 100

// isExcessive reports whether a request has so many parameters or cookies that checking each would keep Yaegi busy for seconds.
func isExcessive(r *http.Request) bool {
	query := r.URL.RawQuery
	return strings.Count(query, "&")+strings.Count(query, ";") > mostParameters || hasTooManyCookies(r.Header["Cookie"])
}

func firstMatch(candidates []route, segments []string, r *http.Request) *route {
	for i := range candidates {
		if candidates[i].matches(segments) && hasCredential(r, candidates[i].credential) {
			return &candidates[i]
		}
	}
	return nil
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

// hasCredential tells whether the request carries the credential, and it is not blank: Node trims header values, and Immich
// then takes the next credential. Go trims them only over HTTP/1.1.
func hasCredential(r *http.Request, name string) bool {
	if name == "" {
		return true
	}
	query := r.URL.Query()
	for _, c := range credentials {
		if c.name == name {
			return anyFilled(query, c.queries) || anyFilled(r.Header, c.headers)
		}
	}
	return false
}

func anyFilled(values map[string][]string, names []string) bool {
	for _, name := range names {
		if len(values[name]) == 1 && strings.TrimSpace(values[name][0]) != "" {
			return true
		}
	}
	return false
}

// removeCredentials removes every credential but the one that the route passes.
func removeCredentials(r *http.Request, rt *route) {
	for _, c := range credentials {
		if c.name == rt.passes {
			continue
		}
		for _, header := range c.headers {
			delete(r.Header, header)
		}
	}
	removeParameters(r, rt.foreign)
	removeCookies(r, credentialCookies)
}

// parametersExcept matches the names, in lower case, of parameters that carry a credential other than that one. It looks at
// each word of a name, since qs, a parser for Express, reads key[]=x and [key]=x as key.
func parametersExcept(credential string) *regexp.Regexp {
	var names []string
	for _, c := range credentials {
		if c.name != credential {
			names = append(names, c.queries...)
		}
	}
	return regexp.MustCompile(`(^|[^a-z])(` + strings.ToLower(strings.Join(names, "|")) + `)([^a-z]|$)`)
}

// removeParameters removes the parameters of those names from the query, in whatever way they are written. It takes ";" for
// a separator too, which Traefik forwards as "&".
func removeParameters(r *http.Request, names *regexp.Regexp) {
	parameters := strings.Split(strings.ReplaceAll(r.URL.RawQuery, ";", "&"), "&")
	var kept []string
	removed := false
	for _, parameter := range parameters {
		if isNamed(parameter, names) {
			removed = true
		} else if parameter != "" {
			kept = append(kept, parameter)
		}
	}
	if !removed {
		return
	}
	r.URL.RawQuery = strings.Join(kept, "&")
	r.RequestURI = r.URL.RequestURI() // from which Traefik takes the query
}

// isNamed treats a name that can't be decoded as a match.
func isNamed(parameter string, names *regexp.Regexp) bool {
	name, _, _ := strings.Cut(parameter, "=")
	decoded, err := url.QueryUnescape(name)
	return err != nil || names.MatchString(strings.ToLower(decoded))
}

// removeCookies removes each cookie that contains one of the names, since parsers differ in what they trim from a name.
func removeCookies(r *http.Request, names []string) {
	if r.Header["Cookie"] == nil {
		return
	}
	var kept []string
	for _, cookie := range strings.Split(strings.Join(r.Header["Cookie"], ";"), ";") {
		if !containsAny(strings.ToLower(cookie), names) {
			kept = append(kept, strings.Trim(cookie, " \t"))
		}
	}
	set(r.Header, "Cookie", strings.Join(kept, "; "))
}

func containsAny(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// needlessEscape is a percent-encoding that no client needs, or that servers read in different ways: of letters,
// digits and "-._~", of a slash, a backslash, a semicolon, a percent sign, and of control characters.
var needlessEscape = regexp.MustCompile(`(?i)%(3[0-9b]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9aef]|2[5def]|[01][0-9a-f])`)

// isCanonicalPath accepts only the form of a path that every server parses in the same way.
func isCanonicalPath(r *http.Request) bool {
	decoded := r.URL.Path
	if !strings.HasPrefix(decoded, "/") || path.Clean(decoded) != decoded || strings.ContainsAny(decoded, `\;%`) || !utf8.ValidString(decoded) {
		return false
	}
	return !strings.Contains(r.URL.EscapedPath(), "%") || !needlessEscape.MatchString(r.URL.EscapedPath())
}
