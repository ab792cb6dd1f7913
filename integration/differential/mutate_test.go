package differential

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// Requests in which anything may be changed.

func (m maker) mutatedTarget(r *request) {
	switch m.IntN(10) {
	case 0, 1, 2, 3:
		if len(sites[r.site].publicRoutes) > 0 {
			m.publicOperation(r)
			m.mutateCredentials(r)
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
		r.path = m.mutate(r.path)
	}
	if m.chance(8) {
		r.method = one(m, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "QUERY", "PROPFIND")
	}
	for m.chance(2) {
		r.query = append(r.query, m.mutatedQuery())
	}
	m.Shuffle(len(r.query), func(i, j int) { r.query[i], r.query[j] = r.query[j], r.query[i] })
}

// mutateCredentials keeps the credential that the route requires, or makes it invalid, and adds others that Immich would
// accept.
func (m maker) mutateCredentials(r *request) {
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

// mutate changes a text in one place.
func (m maker) mutate(text string) string {
	at := m.IntN(len(text) + 1)
	before, after := text[:at], text[at:]
	switch m.IntN(12) {
	case 0: // a percent-encoded character
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

// blanks are values that some parser may treat as empty.
var blanks = []string{
	"", " ", "\t", "  ", " \t ", "\v", "\f", "\u00a0", "\xa0", "\u0085", "\x85", "\u2003", "\u3000", "\ufeff", "\u200b", "\x00", "\x1f", "\x7f",
	`""`, `" "`, ",", " , ", ";", "\r\n ", "\r\n\t", "\n", "\r", "%20", "%09", "%00", "%C2%A0", "+", "%", "null", "undefined", "false", "0", "[]",
}

// blank mostly returns one that parsers are known to read differently.
func (m maker) blank() string {
	return one(m, "", " ", "\t", one(m, blanks...), one(m, blanks...), one(m, blanks...))
}

// value returns one of a credential: a real one, a blank, or something in between.
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
		return m.mutate(m.token())
	}
}

func (m maker) mutatedQuery() string {
	name := one(m, "key", "slug", "sessionKey", "apiKey", "apiKey", "sessionKey", "size", "password", "Key", "key[]", "apiKey[]", "sessionKey[0]", "X-Access-Key", "x")
	if m.chance(3) {
		name = m.mutateName(name)
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

// mutateName changes the spelling of the name of a query parameter or a cookie.
func (m maker) mutateName(name string) string {
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

func (m maker) mutatedFields(r *request) {
	for m.IntN(3) > 0 {
		r.fields = append(r.fields, m.mutatedField(r.protocol))
	}
	for m.chance(3) {
		m.mutatedCookie(r)
	}
	m.Shuffle(len(r.fields), func(i, j int) { r.fields[i], r.fields[j] = r.fields[j], r.fields[i] })
}

func (m maker) mutatedField(p protocol) field {
	switch m.IntN(14) {
	case 0:
		return field{one(m, "x-access-key", "x-access-key", m.mutateFieldName("x-access-key", p)), one(m, "wrong", "", " ", "\t", accessKey[1:], "wrong,"+accessKey, accessKey+"\u00a0", accessKey+"\x00", strings.ToUpper(accessKey))}
	case 1:
		return field{one(m, "x_access_key", "x-access_key", "x-accesskey", "proxy-authorization", "x-access-key-"), accessKey}
	case 2:
		return field{one(m, "connection", "connection", "proxy-connection", "keep-alive"), one(m, credentialFields...) + one(m, "", ", close", ", cookie", ",x-access-key", ", upgrade", " ; x")}
	case 3:
		return one(m, field{"upgrade", "websocket"}, field{"upgrade", "h2c"}, field{"http2-settings", "AAMAAABk"}, field{"connection", "upgrade"},
			field{"expect", "100-continue"}, field{"te", "trailers"}, field{"trailer", "x-immich-share-key"})
	case 4:
		name := one(m, "x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-host", "x-forwarded-proto", "true-client-ip")
		return field{one(m, name, name, m.mutateFieldName(name, p)), one(m, keylessAddress, "8.8.8.8", "for="+keylessAddress, "[::1]", "10.0.0.1, "+keylessAddress, "unknown")}
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
			name = m.mutateFieldName(name, p)
		}
		return field{name, m.value()}
	}
}

// mutateFieldName changes the spelling of a header's name, which makes it another header, or an invalid one.
func (m maker) mutateFieldName(name string, p protocol) string {
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

func (m maker) mutatedCookie(r *request) {
	name := one(m, "immich_access_token", "immich_access_token", "immich_access_token", "immich_shared_link_token", "__Host-immichaccess", "immichaccess", "a")
	if m.chance(3) {
		name = m.mutateName(name)
	}
	value := m.value()
	if strings.HasSuffix(name, "immichaccess") && m.chance(2) {
		value = base64.RawURLEncoding.EncodeToString([]byte(accessKey)) // which earlier versions accepted
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

func (m maker) mutatedBody(r *request) {
	smuggled := "GET /api/users/me HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + m.token() + "\r\n\r\n"
	if m.chance(12) {
		r.body = one(m, m.token(), smuggled, "0\r\n\r\n"+smuggled)
		r.chunked = m.chance(2)
	}
	if r.chunked && m.chance(2) || r.body != "" && m.chance(8) {
		r.trailers = append(r.trailers, m.mutatedField(http1))
	}
	if r.body != "" && m.chance(6) {
		r.framing = append(r.framing, one(m, field{"content-length", "0"}, field{"content-length", "+3"}, field{"content-length", "3, 3"}, field{"content-length", "0x3"},
			field{"transfer-encoding", "chunked"}, field{"transfer-encoding", "\vchunked"}, field{"transfer-encoding", "gzip, chunked"}, field{"transfer-encoding", "identity"},
			field{"transfer_encoding", "chunked"}, field{"transfer-encoding ", "chunked"}, field{"content-length", fmt.Sprint(len(r.body))}))
	}
}
