package differential

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// generator makes up requests. A number makes the same request each time.
type generator struct {
	seed       uint64
	operations []operation
	entries    int
}

func (g generator) request(p protocol, number uint64) request {
	m := maker{rand.New(rand.NewPCG(g.seed, number)), g}
	r := request{protocol: p, site: m.site(), entry: m.IntN(g.entries), method: "GET"}
	switch m.IntN(20) {
	case 0, 1:
		r.kind = withKey
		m.anyOperation(&r)
		m.plainCredentials(&r)
		r.fields = append(r.fields, field{"x-access-key", accessKey})
	case 2:
		r.kind, r.site = fromHome, slices.IndexFunc(sites, func(s site) bool { return s.keyless })
		m.anyOperation(&r)
		m.plainCredentials(&r)
	case 3, 4:
		r.kind = tame
		m.publicOperation(&r)
		m.plainCredentials(&r)
	default:
		r.kind = wild
		m.wildTarget(&r)
		m.wildFields(&r)
		m.wildBody(&r)
	}
	return r
}

type maker struct {
	*rand.Rand
	generator
}

// one returns one of the values.
func one[T any](m maker, values ...T) T {
	return values[m.IntN(len(values))]
}

// chance is true once in n times.
func (m maker) chance(n int) bool {
	return m.IntN(n) == 0
}

func (m maker) site() int {
	return one(m, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5)
}

const (
	someUUID  = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
	otherUUID = "9F2D8D4E-7F3B-4C52-8D0E-0D5C3B1F6A01"
)

func (m maker) token() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var b strings.Builder
	for range 12 + m.IntN(30) {
		b.WriteByte(letters[m.IntN(len(letters))])
	}
	return b.String()
}

// anyOperation of the API, with UUIDs for its parameters.
func (m maker) anyOperation(r *request) {
	o := m.operations[m.IntN(len(m.operations))]
	r.method, r.path = o.Method, parameter.ReplaceAllString(o.Path, someUUID)
	m.plainBody(r)
}

// publicOperation that the site opens, with what it asks for. A site that opens none gets the first that does.
func (m maker) publicOperation(r *request) {
	for len(sites[r.site].publicRoutes) == 0 {
		r.site = (r.site + 1) % len(sites)
	}
	public := publicOperations[one(m, sites[r.site].publicRoutes...)]
	name := one(m, slices.Sorted(maps.Keys(public))...)
	r.method, r.path, _ = strings.Cut(strings.ReplaceAll(name, "{}", someUUID), " ")
	switch public[name] {
	case link:
		m.place(r, one(m, linkPlaces...), m.token())
	case session:
		m.place(r, "query sessionKey", m.token())
	case nothing:
	}
	m.plainBody(r)
}

func (m maker) plainBody(r *request) {
	if r.method == "GET" && m.chance(5) {
		r.method = "HEAD"
	}
	if r.method == "POST" || r.method == "PUT" || r.method == "PATCH" {
		r.body, r.chunked = m.token(), m.chance(3)
	}
}

var linkPlaces = []string{"header x-immich-share-key", "query key", "header x-immich-share-slug", "query slug"}

// places are all where Immich looks for credentials.
var places = slices.Concat(linkPlaces, []string{
	"header x-immich-user-token", "header x-immich-session-token", "query sessionKey", "header authorization",
	"cookie immich_access_token", "header x-api-key", "query apiKey",
})

// plainCredentials are some of Immich's, as its clients write them, among things that are none.
func (m maker) plainCredentials(r *request) {
	for _, place := range places {
		// Two of one place are for the wild.
		if m.chance(4) && !has(*r, place) {
			m.place(r, place, m.token())
		}
	}
	if m.chance(2) {
		m.place(r, "cookie immich_shared_link_token", m.token())
	}
	if m.chance(2) {
		m.place(r, "cookie immich_auth_type", "password")
	}
	if sites[r.site].browserLogin && m.chance(4) {
		m.place(r, "cookie "+sessionCookie, m.token())
	}
	if m.chance(2) {
		m.place(r, "query size", "preview")
	}
	if m.chance(3) {
		r.fields = append(r.fields, field{"user-agent", "Immich_Android_3.1.0"})
	}
}

func has(r request, place string) bool {
	where, name, _ := strings.Cut(place, " ")
	if where == "query" {
		return slices.ContainsFunc(r.query, func(q string) bool { return strings.HasPrefix(q, name+"=") })
	}
	return where == "header" && slices.ContainsFunc(r.fields, func(f field) bool { return f.name == name })
}

func (m maker) place(r *request, place, value string) {
	where, name, _ := strings.Cut(place, " ")
	switch {
	case where == "query":
		r.query = append(r.query, name+"="+value)
	case where == "cookie":
		addCookie(r, name+"="+value, "; ")
	case name == "authorization":
		r.fields = append(r.fields, field{name, "Bearer " + value})
	default:
		r.fields = append(r.fields, field{name, value})
	}
}

// addCookie puts a cookie behind the others; without a separator it gets a line of its own.
func addCookie(r *request, cookie, separator string) {
	for i, f := range r.fields {
		if f.name == "cookie" && separator != "" {
			r.fields[i].value += separator + cookie
			return
		}
	}
	r.fields = append(r.fields, field{"cookie", cookie})
}

// From here on, the wild ones.

func (m maker) wildTarget(r *request) {
	switch m.IntN(10) {
	case 0, 1, 2, 3:
		if len(sites[r.site].publicRoutes) > 0 {
			m.publicOperation(r)
			m.bendCredentials(r)
			break
		}
		fallthrough
	case 4, 5, 6:
		m.anyOperation(r)
	case 7, 8:
		r.path = one(m, "/share/", "/s/", "/_app/", "/favicon", "/manifest-icon-") + m.token() + one(m, "", "/photos/"+someUUID)
	default:
		r.path = one(m, "/", "/photos", "/auth/login", "/api", "/api/", "/api/socket.io/?EIO=4&transport=websocket", "/service-worker.js",
			"/custom.css", "/.well-known/immich", "/.immichaccess", "/.immichaccess/logout", "*", "", "/share", "/s/", "/api/docs")
	}
	if m.chance(10) {
		r.path = strings.Replace(r.path, someUUID, one(m, otherUUID, "me", "statistics", "..", "%2e%2e", someUUID+"%00", someUUID+"/", ""), 1)
	}
	for m.chance(3) {
		r.path = m.bend(r.path)
	}
	if m.chance(8) {
		r.method = one(m, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "QUERY", "PROPFIND")
	}
	for m.chance(2) {
		r.query = append(r.query, m.wildQuery())
	}
	m.Shuffle(len(r.query), func(i, j int) { r.query[i], r.query[j] = r.query[j], r.query[i] })
}

// bendCredentials leaves what the route asks for as it is, or makes it less than that, beside what would be better.
func (m maker) bendCredentials(r *request) {
	if m.chance(2) {
		for i, f := range r.fields {
			r.fields[i].value = one(m, f.value, m.value(), m.blank(), m.blank())
		}
		for i, pair := range r.query {
			name, value, _ := strings.Cut(pair, "=")
			r.query[i] = name + "=" + one(m, value, m.queryValue(), m.blank(), url.QueryEscape(m.blank()))
		}
	}
	for m.chance(2) {
		m.place(r, one(m, places...), m.token())
	}
}

// bend changes a path at one place.
func (m maker) bend(text string) string {
	at := m.IntN(len(text) + 1)
	before, after := text[:at], text[at:]
	switch m.IntN(12) {
	case 0: // a letter as it need not be written
		if after == "" {
			return text + "%2F"
		}
		return before + fmt.Sprintf(one(m, "%%%02x", "%%%02X", "%%25%02x"), after[0]) + after[1:]
	case 1:
		return strings.Replace(text, "/", one(m, "//", "/./", "/x/../", "%2f", "%5c", "\\", "/%2e/", ";/", "/..;/", "/%00/", "/\t/"), 1+m.IntN(2))
	case 2:
		return before + one(m, "#", "?", ";", ";x=y", "%23", "%3f", "%3b", "&", "%", "%zz", "\\", "\x00", "%00", "%0a", " ", "%20", "+", "\t", "\xff", "é", "İ", "K") + after
	case 3:
		return swapCase(before, at) + after
	case 4:
		return text + one(m, "/", "//", "/.", "/..", "%2f", ".", ".json", "%20", ";", "#", "#/", "?", "/%2e%2e")
	case 5:
		return one(m, "/", ".", "//", "/\\", "/;", "http://photos.example.com", "http://other.example.com", "https://x@y", "*", "/..", "/%2e%2e", "/share/../") + text
	case 6:
		return before + strings.Repeat(one(m, "a", "/", "%41", "../"), 1<<m.IntN(14)) + after
	case 7:
		return "/_app/" + one(m, "..", "%2e%2e", "..%2f..", ".%2e") + text
	case 8:
		return "/share/x" + one(m, "/..", "%2f..", "/%2e%2e", "/photos/..", "?", "#", "%3f", "%23") + text
	default:
		return text
	}
}

func swapCase(text string, at int) string {
	if at == 0 {
		return text
	}
	return text[:at-1] + strings.ToUpper(text[at-1:])
}

// blanks are what some reader or other may take for nothing.
var blanks = []string{
	"", " ", "\t", "  ", " \t ", "\v", "\f", "\u00a0", "\xa0", "\u0085", "\x85", "\u2003", "\u3000", "\ufeff", "\u200b", "\x00", "\x1f", "\x7f",
	`""`, `" "`, ",", " , ", ";", "\r\n ", "\r\n\t", "\n", "\r", "%20", "%09", "%00", "%C2%A0", "+", "%", "null", "undefined", "false", "0", "[]",
}

// blank is mostly one that has been known to be read in two ways.
func (m maker) blank() string {
	return one(m, "", " ", "\t", one(m, blanks...), one(m, blanks...), one(m, blanks...))
}

// value of a credential: a real one, a blank, or something between.
func (m maker) value() string {
	switch m.IntN(8) {
	case 0, 1, 2:
		return m.token()
	case 3, 4:
		return m.blank()
	case 5:
		return m.blank() + m.token() + m.blank()
	case 6:
		return m.blank() + m.blank()
	default:
		return m.bend(m.token())
	}
}

func (m maker) wildQuery() string {
	name := one(m, "key", "slug", "sessionKey", "apiKey", "apiKey", "sessionKey", "size", "password", "Key", "key[]", "apiKey[]", "sessionKey[0]", "X-Access-Key", "x")
	if m.chance(3) {
		name = m.bendName(name)
	}
	switch m.IntN(12) {
	case 0:
		return name
	case 1:
		return strings.Repeat("x&", one(m, 1, 50, 101, 999, 1000, 1001)) + name + "=" + m.queryValue()
	case 2:
		return "size=1" + one(m, ";", "%26", "#", "?", "&&", "&;", "\x00", " ", "+", "\t") + name + "=" + m.queryValue()
	case 3:
		return name + one(m, "==", " =", "%3D", "=&", "=%zz", "[=", "]=", "=;", "=#") + m.queryValue()
	default:
		return name + "=" + m.queryValue()
	}
}

func (m maker) queryValue() string {
	value := m.value()
	if m.chance(2) {
		return url.QueryEscape(value)
	}
	return value
}

// bendName writes a name of a query's parameter or a cookie in another way.
func (m maker) bendName(name string) string {
	at := m.IntN(len(name))
	switch m.IntN(7) {
	case 0, 1:
		return name[:at] + fmt.Sprintf(one(m, "%%%02x", "%%%02X"), name[at]) + name[at+1:]
	case 2:
		return m.blank() + name
	case 3:
		return name + m.blank()
	case 4:
		return swapCase(name, at+1)
	case 5:
		return strings.ReplaceAll(name, "_", one(m, "-", "%5f", "_", "."))
	default:
		return strings.NewReplacer("k", one(m, "\u212a", "%6B", "k"), "s", one(m, "\u017f", "s")).Replace(name)
	}
}

var credentialFields = []string{
	"x-immich-share-key", "x-immich-share-slug", "x-immich-share-key", "x-immich-share-slug", "x-immich-user-token", "x-immich-session-token",
	"authorization", "x-api-key", "x-api-key",
}

func (m maker) wildFields(r *request) {
	for m.IntN(3) > 0 {
		r.fields = append(r.fields, m.wildField(r.protocol))
	}
	for m.chance(3) {
		m.wildCookie(r)
	}
	m.Shuffle(len(r.fields), func(i, j int) { r.fields[i], r.fields[j] = r.fields[j], r.fields[i] })
}

func (m maker) wildField(p protocol) field {
	switch m.IntN(14) {
	case 0:
		return field{one(m, "x-access-key", "x-access-key", m.bendFieldName("x-access-key", p)), one(m, "wrong", "", " ", "\t", accessKey[1:], "wrong,"+accessKey, accessKey+"\u00a0", accessKey+"\x00", strings.ToUpper(accessKey))}
	case 1:
		return field{one(m, "x_access_key", "x-access_key", "x-accesskey", "proxy-authorization", "x-access-key-"), accessKey}
	case 2:
		return field{one(m, "connection", "connection", "proxy-connection", "keep-alive"), one(m, credentialFields...) + one(m, "", ", close", ", cookie", ",x-access-key", ", upgrade", " ; x")}
	case 3:
		return one(m, field{"upgrade", "websocket"}, field{"upgrade", "h2c"}, field{"http2-settings", "AAMAAABk"}, field{"connection", "upgrade"},
			field{"expect", "100-continue"}, field{"te", "trailers"}, field{"trailer", "x-immich-share-key"})
	case 4:
		name := one(m, "x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "x-forwarded-proto", "true-client-ip")
		return field{one(m, name, name, m.bendFieldName(name, p)), one(m, homeAddress, "8.8.8.8", "for="+homeAddress, "[::1]", "10.0.0.1, "+homeAddress, "unknown")}
	case 5:
		return one(m, field{"x-http-method-override", "DELETE"}, field{"x-original-url", "/api/users/me"}, field{"x-rewrite-url", "/api/users/me"},
			field{"host", "other.example.com"}, field{"origin", "null"}, field{"accept", "text/html"}, field{"sec-fetch-mode", "navigate"},
			field{"x-forwarded-prefix", "/api"}, field{"x-forwarded-uri", "/api/server/ping"}, field{"x-large", strings.Repeat("x", 1<<m.IntN(16))})
	case 6:
		if p != http1 && m.chance(3) {
			return one(m, field{":path", "/api/server/ping"}, field{":authority", "x/../y"}, field{":authority", "u@photos.example.com"},
				field{":scheme", "http"}, field{":method", "GET"}, field{":protocol", "websocket"}, field{":x", "y"}, field{"", "x"}, field{"transfer-encoding", "chunked"})
		}
		fallthrough
	case 7:
		return field{"authorization", one(m, "Bearer ", "bearer ", "BEARER\t", "Bearer  ", " Bearer ", "Bearer", "Basic ", "Bearer,", "Bearer \u00a0") + m.value()}
	default:
		name := one(m, credentialFields...)
		if m.chance(6) {
			name = m.bendFieldName(name, p)
		}
		return field{name, m.value()}
	}
}

// bendFieldName writes a header's name in another way, which is another header, or none.
func (m maker) bendFieldName(name string, p protocol) string {
	switch m.IntN(8) {
	case 0:
		return strings.ReplaceAll(name, "-", "_")
	case 1:
		return strings.Replace(name, "-", "_", 1)
	case 2:
		return name + one(m, " ", "\t", "\x00", ":", "\v", "\u00a0")
	case 3:
		return one(m, " ", "\t", "\r\n ", "\x00", "\u00a0") + name
	case 4:
		return strings.ToUpper(name)
	case 5:
		return strings.NewReplacer("k", "\u212a", "s", "\u017f").Replace(name)
	case 6:
		return strings.ReplaceAll(name, "-", one(m, "--", "\u2010", "."))
	default:
		if p == http1 {
			return swapCase(name, 1+m.IntN(len(name)))
		}
		return name
	}
}

func (m maker) wildCookie(r *request) {
	name := one(m, "immich_access_token", "immich_access_token", "immich_access_token", "immich_shared_link_token", "__Host-immichaccess", "immichaccess", "a")
	if m.chance(3) {
		name = m.bendName(name)
	}
	value := m.value()
	if strings.HasSuffix(name, "immichaccess") && m.chance(2) {
		value = base64.RawURLEncoding.EncodeToString([]byte(accessKey)) // what earlier versions took
	}
	switch m.IntN(6) {
	case 0:
		value = `"` + value + `"`
	case 1:
		value = "=" + value
	}
	addCookie(r, one(m, "", "", "", " ", "\t", "\u00a0", "\u3000", `a="x; `, "$Version=1; ")+name+one(m, "=", "=", "=", " = ", "\t=")+value,
		one(m, "; ", "; ", ";", ",", " ; ", "\x00", "", ""))
}

func (m maker) wildBody(r *request) {
	smuggled := "GET /api/users/me HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + m.token() + "\r\n\r\n"
	if m.chance(12) {
		r.body = one(m, m.token(), smuggled, "0\r\n\r\n"+smuggled)
		r.chunked = m.chance(2)
	}
	if r.chunked && m.chance(2) || r.body != "" && m.chance(8) {
		r.trailers = append(r.trailers, m.wildField(http1))
	}
	if r.body != "" && m.chance(6) {
		r.framing = append(r.framing, one(m, field{"content-length", "0"}, field{"content-length", "+3"}, field{"content-length", "3, 3"}, field{"content-length", "0x3"},
			field{"transfer-encoding", "chunked"}, field{"transfer-encoding", "\vchunked"}, field{"transfer-encoding", "gzip, chunked"}, field{"transfer-encoding", "identity"},
			field{"transfer_encoding", "chunked"}, field{"transfer-encoding ", "chunked"}, field{"content-length", fmt.Sprint(len(r.body))}))
	}
}
