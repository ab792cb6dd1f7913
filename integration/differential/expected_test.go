package differential

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What may reach Immich without a key, derived from Immich's API and its web page, not from the gateway's code.

// site is a configuration of the gateway. Each has a port of Immich of its own.
type site struct {
	name         string
	publicRoutes []string
	browserLogin bool
	keyless      bool // for clients at keylessAddress
}

var sites = []site{
	{name: "closed"},
	{name: "every", publicRoutes: []string{"ping", "well-known", "oauth", "shared-links", "session-media"}, browserLogin: true},
	{name: "links", publicRoutes: []string{"shared-links"}},
	{name: "media", publicRoutes: []string{"session-media"}},
	{name: "small", publicRoutes: []string{"ping", "well-known", "oauth"}, browserLogin: true},
	{name: "home", publicRoutes: []string{"shared-links"}, keyless: true},
}

const (
	accessKey      = "K7q-correct-horse-battery-staple"
	otherAddress   = "127.0.0.1"
	keylessAddress = "127.0.0.2" // of keylessNetworks
)

func (s site) opens(publicRoute string) bool {
	return slices.Contains(s.publicRoutes, publicRoute)
}

// need is what a route requires instead of an access key.
type need int

const (
	nothing need = iota
	link
	session
)

// publicOperations are the operations of the API that each word of publicRoutes opens, and the credential that a request needs.
var publicOperations = map[string]map[string]need{
	"ping":       {"GET /api/server/ping": nothing},
	"well-known": {"GET /.well-known/immich": nothing},
	"oauth": {
		"GET /api/oauth/mobile-redirect":     nothing,
		"POST /api/oauth/backchannel-logout": nothing,
	},
	"session-media": {
		"GET /api/assets/{}/thumbnail":      session,
		"GET /api/assets/{}/video/playback": session,
	},
	"shared-links": {
		"GET /api/server/config":                              nothing,
		"GET /api/server/features":                            nothing,
		"GET /api/server/media-types":                         nothing,
		"GET /api/public/config":                              nothing,
		"GET /api/shared-links/me":                            link,
		"POST /api/shared-links/login":                        link,
		"GET /api/albums/{}":                                  link,
		"GET /api/albums/{}/map-markers":                      link,
		"POST /api/assets":                                    link,
		"GET /api/assets/{}":                                  link,
		"GET /api/assets/{}/original":                         link,
		"GET /api/assets/{}/thumbnail":                        link,
		"GET /api/assets/{}/video/playback":                   link,
		"GET /api/assets/{}/video/stream/main.m3u8":           link,
		"GET /api/assets/{}/video/stream/{}/{}/{}":            link,
		"GET /api/assets/{}/video/stream/{}/{}/playlist.m3u8": link,
		"DELETE /api/assets/{}/video/stream/{}":               link,
		"POST /api/download/info":                             link,
		"POST /api/download/archive":                          link,
		"POST /api/search/metadata":                           link,
		"GET /api/timeline/buckets":                           link,
		"GET /api/timeline/bucket":                            link,
	},
}

// publicPages are the paths outside of Immich's API that the page of a shared link consists of.
var publicPages = []*regexp.Regexp{
	regexp.MustCompile(`^/(share|s)/[^/]+$`),
	regexp.MustCompile(`^/(share|s)/[^/]+/photos/` + uuid + `$`),
	regexp.MustCompile(`^/_app/.+$`),
	regexp.MustCompile(`^/(favicon|manifest-icon-)[^/]+$`),
	regexp.MustCompile(`^/(service-worker\.js|manifest\.json|robots\.txt|custom\.css)$`),
	regexp.MustCompile(`^/(apple-icon-180|light_skeleton|dark_skeleton|feature-panel)\.png$`),
}

const uuid = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`

var (
	parameter = regexp.MustCompile(`\{\w+\}`)
	onlyUUID  = regexp.MustCompile(`^` + uuid + `$`)
)

// allowance is what a request without a key may have.
type allowance struct {
	route    bool // the route is public
	link     bool // it may carry a link's key or slug
	session  bool // it may carry a sessionKey in its query
	requires bool // it must carry one of the two
}

// allowed looks at the operations that a request fits best, which are those with the fewest parameters: all have to be public.
func (s site) allowed(u understanding) allowance {
	if len(u.Operations) == 0 {
		return s.allowedPage(u)
	}
	fewest := len(slices.MinFunc(u.Operations, func(a, b match) int { return len(a.Parameters) - len(b.Parameters) }).Parameters)
	sum := allowance{route: true, link: s.opens("shared-links")}
	for _, m := range u.Operations {
		if len(m.Parameters) > fewest {
			continue
		}
		one := s.allowedOperation(m)
		sum.route = sum.route && one.route
		sum.session = sum.session || one.session
		sum.requires = sum.requires || one.requires
	}
	return sum
}

func (s site) allowedOperation(m match) (a allowance) {
	name := parameter.ReplaceAllString(m.Name, "{}")
	for _, publicRoute := range s.publicRoutes {
		needed, listed := publicOperations[publicRoute][name]
		if !listed {
			continue
		}
		a.route = len(m.Parameters) == 0 || onlyUUID.MatchString(m.Parameters[0])
		a.session = a.session || needed == session
		a.requires = needed != nothing
	}
	return a
}

func (s site) allowedPage(u understanding) allowance {
	decoded, err := url.PathUnescape(u.Path)
	plain := err == nil && utf8.ValidString(decoded) && path.Clean(decoded) == decoded && !strings.ContainsAny(decoded, "\\\x00") &&
		strings.Count(decoded, "/") == strings.Count(u.Path, "/")
	listed := slices.ContainsFunc(publicPages, func(page *regexp.Regexp) bool { return page.MatchString(decoded) })
	reads := u.Method == "GET" || u.Method == "HEAD"
	return allowance{route: plain && listed && reads && s.opens("shared-links"), link: true}
}

const (
	notPublic  = "it reached a route that is not public"
	takesOther = "on a route for links or sessions, Immich takes another credential: "
)

// violation returns why a request without a key should not have reached Immich as it did, or "".
func (s site) violation(u understanding) string {
	if u.Error != "" {
		return "Immich did not read it as a plain request: " + u.Error
	}
	may := s.allowed(u)
	if !may.route {
		return notPublic
	}
	for i, c := range u.Credentials {
		if may.carry(c) {
			continue
		}
		if i == 0 && may.requires {
			return takesOther + c.Place
		}
		return "it carries another credential: " + c.Place
	}
	if may.requires && len(u.Credentials) == 0 {
		return "it reached a route that requires a link or a session, with neither"
	}
	if u.Client != otherAddress {
		return "Immich trusts the address that the client claims"
	}
	return ""
}

func (a allowance) carry(c credential) bool {
	return a.link && isLink(c) || a.session && c.Place == "query sessionKey"
}

func isLink(c credential) bool {
	switch c.Place {
	case "header x-immich-share-key", "query key", "header x-immich-share-slug", "query slug":
		return true
	}
	return false
}

// leak returns which secret of the gateway has reached Immich, or "".
func leak(u understanding, from kind) string {
	for i := 0; i+1 < len(u.Headers); i += 2 {
		if strings.EqualFold(u.Headers[i], "X-Access-Key") {
			return "Immich sees the access key's header"
		}
	}
	if _, has := u.Cookies[sessionCookie]; has && from != mutated && sites[u.Site].browserLogin {
		return "Immich sees the session cookie"
	}
	return ""
}

const sessionCookie = "__Host-immichaccess"

func describe(u understanding) string {
	text := fmt.Sprintf("Immich (site %s) read:\n  %s %s\n", sites[u.Site].name, u.Method, u.URL)
	for i := 0; i+1 < len(u.Headers); i += 2 {
		text += fmt.Sprintf("  %s: %q\n", u.Headers[i], u.Headers[i+1])
	}
	text += fmt.Sprintf("  operations %v\n  credentials, the first is taken: %v\n", u.Operations, u.Credentials)
	return text
}
