package immichaccess

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// credential is a kind of credential, and where a request can carry it.
type credential struct {
	queries []string
	headers []string
}

// credentials are those of Immich, by name. If a request has several, Immich uses the first that is not empty: link, session,
// user (auth.service.ts, validate).
var credentials = map[string]*credential{
	"link":    {queries: []string{"key", "slug"}, headers: []string{"X-Immich-Share-Key", "X-Immich-Share-Slug"}},
	"session": {queries: []string{"sessionKey"}},
	"user": { // which no public route lets through
		queries: []string{"apiKey"},
		headers: []string{"X-Immich-User-Token", "X-Immich-Session-Token", "Authorization", "X-Api-Key"},
	},
}

// isIn reports whether the request carries the credential, and it is not blank: Node trims header values, and Immich then uses
// the next credential. Go trims them only over HTTP/1.1.
func (c *credential) isIn(r *http.Request) bool {
	query := r.URL.Query()
	for _, name := range c.queries {
		if isFilled(query[name]) {
			return true
		}
	}
	for _, name := range c.headers {
		if isFilled(r.Header[name]) {
			return true
		}
	}
	return false
}

func isFilled(values []string) bool {
	if len(values) != 1 || values[0] == "" {
		return false
	}
	first := values[0][0]
	return '!' <= first && first <= '~' || strings.TrimSpace(values[0]) != ""
}

// others are the credentials that a request may not carry on to Immich.
type others struct {
	headers    []string
	parameters *regexp.Regexp // names of parameters that are read as one of them
}

// othersThan returns all credentials but one.
func othersThan(passes string) *others {
	o := &others{}
	var names []string
	for name, c := range credentials {
		if name == passes {
			continue
		}
		o.headers = append(o.headers, c.headers...)
		for _, query := range c.queries {
			names = append(names, strings.ToLower(query))
		}
	}
	// Each word of a name counts, since qs, a parser for Express, reads key[]=x and [key]=x as key.
	o.parameters = regexp.MustCompile(`(^|[^a-z])(` + strings.Join(names, "|") + `)([^a-z]|$)`)
	return o
}

// usualQuery matches the queries that the pages of shared links send, with the credential once where one is needed.
func usualQuery(needs *credential) string {
	const (
		value = `(?:[0-9A-Za-z_.~-]|%2[BFbf]|%3[Dd])`
		usual = `(?:size|edited|c|albumId|timeBucket|order|visibility|withStacked|withCoordinates)=` + value + `*`
	)
	if needs == nil {
		return `(?:` + usual + `(?:&|$))*`
	}
	return `(?:` + usual + `&)*(?:` + strings.Join(needs.queries, "|") + `)=` + value + `+(?:&` + usual + `)*`
}

// from removes them from the request. It returns false where that can't be done for certain.
func (o *others) from(r *http.Request) bool {
	o.fromHeaders(r.Header)
	return o.removeParameters(r, r.URL.RawQuery)
}

func (o *others) fromHeaders(h http.Header) {
	delete(h, "Upgrade") // no public route needs a connection of its own
	for _, name := range o.headers {
		delete(h, name)
	}
	if cookies := h["Cookie"]; len(cookies) > 0 {
		removeUserCookies(h, cookies)
	}
}

// ambiguous matches what Immich may parse differently in a query: blanks, bytes beyond ASCII, and "#", where Express ends it. A
// blank, which HTTP/2 and HTTP/3 can carry, would end the URL in the HTTP/1.1 request to Immich.
var ambiguous = regexp.MustCompile(`[^!-~]|#`)

// mostParameters is more than any page of Immich sends, and few enough for Yaegi to check each. Express ends a query after
// 1000.
const mostParameters = 200

// removeParameters removes the parameters from the query, in whatever way they are written. It takes ";" for a separator too,
// which Traefik forwards as "&". It returns false for a query that can't be taken apart.
func (o *others) removeParameters(r *http.Request, query string) bool {
	if ambiguous.MatchString(query) || strings.Count(query, "&")+strings.Count(query, ";") > mostParameters {
		return false
	}
	parameters := strings.Split(strings.ReplaceAll(query, ";", "&"), "&")
	var kept []string
	removed := false
	for _, parameter := range parameters {
		if o.isNamed(parameter) {
			removed = true
		} else if parameter != "" {
			kept = append(kept, parameter)
		}
	}
	if removed {
		r.URL.RawQuery = strings.Join(kept, "&")
		r.RequestURI = r.URL.RequestURI() // from which Traefik takes the query
	}
	return true
}

// isNamed reports whether the parameter is one of them. A name that can't be decoded counts as one.
func (o *others) isNamed(parameter string) bool {
	name, _, _ := strings.Cut(parameter, "=")
	decoded, err := url.QueryUnescape(name)
	return err != nil || o.parameters.MatchString(strings.ToLower(decoded))
}

// userCookie matches a cookie that logs a user in, as browsers send it. The cookie of a shared link with a password,
// immich_shared_link_token, is not among them.
var userCookie = regexp.MustCompile(`immich_(?:access|maintenance)_token=[^;]*(?:; )?`)

// userCookieName matches the name of such a cookie anywhere.
var userCookieName = regexp.MustCompile(`(?i)immich_(?:access|maintenance)_token`)

func removeUserCookies(h http.Header, lines []string) {
	cookies := lines[0]
	if len(lines) > 1 {
		cookies = strings.Join(lines, "; ")
	}
	kept := userCookie.ReplaceAllString(cookies, "")
	if userCookieName.MatchString(kept) {
		kept = withoutUserCookies(kept)
	}
	if kept != cookies {
		set(h, "Cookie", strings.Trim(kept, "; \t"))
	}
}

// withoutUserCookies removes each cookie that contains one of the names, since parsers differ in what they trim from a name.
func withoutUserCookies(cookies string) string {
	var kept []string
	for _, cookie := range strings.Split(cookies, ";") {
		if !userCookieName.MatchString(cookie) {
			kept = append(kept, strings.Trim(cookie, " \t"))
		}
	}
	return strings.Join(kept, "; ")
}
