package immichaccess

import (
	"net/http"
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

// passing names the credential that requests to the routes may carry. The order is Immich's: if two names make a route public,
// the link is used first.
var passing = []struct{ routes, credential string }{
	{"shared-links", "link"}, {"session-media", "session"}, {"oauth", ""}, {"ping", ""}, {"well-known", ""},
}

// routes are those that were made public.
type routes []*routeGroup

// routeGroup holds routes that are alike in what their requests must carry, and may. All of them are one pattern: Yaegi pays more
// for a few calls than for a long regular expression.
type routeGroup struct {
	plain   *regexp.Regexp // paths without anything to decode, and
	usual   *regexp.Regexp // queries that carry what is needed and nothing to remove, as Immich's pages send them
	any     *regexp.Regexp // decoded paths
	needs   *credential    // nil: none
	removes *others        // the credentials that do not pass
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
	var rs routes
	for _, p := range passing {
		if !wanted[p.routes] {
			continue
		}
		lines := strings.Split(publicRoutes[p.routes], "\n")
		for _, needs := range []string{p.credential, ""} {
			if paths := pathsOf(lines, needs); paths != nil {
				rs = append(rs, &routeGroup{
					plain:   regexp.MustCompile("^" + requestPattern(paths, plainSegment) + "$"),
					usual:   regexp.MustCompile("^" + usualQuery(credentials[needs]) + "$"),
					any:     regexp.MustCompile("^" + requestPattern(paths, anySegment) + "$"),
					needs:   credentials[needs],
					removes: othersThan(p.credential),
				})
			}
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

// pathsOf returns the requests of the lines with that credential, split at each slash of the path; the first part is the method.
func pathsOf(lines []string, credential string) [][]string {
	var paths [][]string
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) == 2 && credential == "" || len(fields) == 3 && fields[2] == credential {
			paths = append(paths, strings.Split(fields[0]+" "+fields[1], "/"))
		}
	}
	return paths
}

// Patterns of what {id}, {any} and a star stand for. A plain segment has nothing that could be escaped, and no dot in front.
const (
	uuid         = `[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`
	plainSegment = `[0-9A-Za-z_-][0-9A-Za-z._-]*`
	anySegment   = `[^/]+`
)

// requestPattern matches the paths. What they have in common in front stands in it once: package regexp is several times slower
// with programs of more than 500 instructions.
func requestPattern(paths [][]string, segment string) string {
	var firsts, patterns []string
	rests := map[string][][]string{}
	for _, path := range paths {
		if len(path) == 0 {
			patterns = append(patterns, "")
			continue
		}
		first := path[0]
		if rests[first] == nil {
			firsts = append(firsts, first)
		}
		rests[first] = append(rests[first], path[1:])
	}
	for _, first := range firsts {
		patterns = append(patterns, partPattern(first, segment)+requestPattern(rests[first], segment))
	}
	return "(?:" + strings.Join(patterns, "|") + ")"
}

func partPattern(part, segment string) string {
	switch part {
	case "GET ":
		return "(?:GET|HEAD) "
	case "POST ", "DELETE ":
		return part
	case "*":
		return `(?:/` + segment + `)+`
	}
	pattern := strings.NewReplacer(`\{id\}`, uuid, `\{any\}`, segment).Replace(regexp.QuoteMeta(part))
	return "/" + strings.Replace(pattern, `\*`, `(?:`+segment+`)?`, 1)
}

// admit reports whether the request needs no key. It then removes every credential except that of the shared link or session
// that the route is for, so that safety does not depend on the gateway and Immich parsing the request in the same way.
func (rs routes) admit(r *http.Request) bool {
	cookies := r.Header["Cookie"]
	if len(cookies) > 0 && (len(cookies) > 1 || len(cookies[0]) > mostCookies) && hasTooManyCookies(cookies) {
		return false
	}
	u := r.URL
	request := r.Method + " " + u.Path
	for _, group := range rs {
		if group.plain.MatchString(request) && u.RawPath == "" && len(u.RawQuery) <= mostParameters && group.usual.MatchString(u.RawQuery) {
			group.removes.fromHeaders(r.Header)
			return true
		}
		if group.any.MatchString(request) && isCanonicalPath(r) && (group.needs == nil || group.needs.isIn(r)) {
			return group.removes.from(r)
		}
	}
	return false
}

// pathWithoutKey returns the path of a request without a key. With client certificates, authorize decides, which tries the
// certificate before the public routes, so that a request with one keeps all its credentials.
func (g *guard) pathWithoutKey() http.HandlerFunc {
	if !g.keys.required || g.certificates != nil || len(g.public)+len(g.keyless.lengths) == 0 {
		return g.authorizeSlow
	}
	keyHeader, admit, forward, authorizeSlow, deny := g.keys.header, g.public.admit, g.forward, g.authorizeSlow, g.deny
	if g.keys.nameHeader != "" || len(g.keyless.lengths) > 0 {
		admit = g.admitWithoutKey
	}

	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header[keyHeader] != nil { // several
			authorizeSlow(w, r)
			return
		}
		if !admit(r) {
			deny.forKey(w, r, &denial{reason: noKey})
			return
		}
		forward(w, r)
	}
}

func (g *guard) admitWithoutKey(r *http.Request) bool {
	if !g.forwarding.isKeyless(r) && !g.public.admit(r) {
		return false
	}
	g.keys.setNameHeader(r, "")
	return true
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
