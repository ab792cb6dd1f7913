package immichaccess

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// basicPath moves the key from HTTP Basic (RFC 7617) to the key header, for programs that accept only a URL, such as
// https://x:KEY@photos.example.com. Basic credentials are never forwarded; Immich's own Authorization header, which is Bearer,
// is.
func (g *guard) basicPath(next http.HandlerFunc) http.HandlerFunc {
	keyHeader := g.keys.header

	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Authorization"] != nil {
			useBasic(r.Header, keyHeader)
		}
		next(w, r)
	}
}

// withoutBasic removes the password that a browser keeps sending although it has a session.
func (g *guard) withoutBasic(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Authorization"] != nil {
			takeBasic(r.Header)
		}
		next(w, r)
	}
}

// useBasic makes the password the key, unless there is one already.
func useBasic(h http.Header, keyHeader string) {
	passwords := takeBasic(h)
	if len(passwords) > 0 && h[keyHeader] == nil {
		h[keyHeader] = passwords
	}
}

// useBasicUnless makes the password the key, unless there is a valid session: a browser keeps sending a password that is no
// longer valid, even after a login with another key. It reports whether there is a key now.
func useBasicUnless(hasSession bool, h http.Header, keyHeader string) bool {
	passwords := takeBasic(h)
	if hasSession || len(passwords) == 0 {
		return false
	}
	h[keyHeader] = passwords
	return true
}

// takeBasic removes Basic credentials from the headers and returns their passwords.
func takeBasic(h http.Header) (passwords []string) {
	var others []string
	for _, value := range h["Authorization"] {
		if password, isBasic := basicPassword(value); isBasic {
			passwords = append(passwords, password)
		} else {
			others = append(others, value)
		}
	}
	if others == nil {
		delete(h, "Authorization")
	} else {
		h["Authorization"] = others
	}
	return passwords
}

// basicPassword returns "", which is no key, for credentials that can't be read.
func basicPassword(authorization string) (password string, isBasic bool) {
	fields := strings.Fields(authorization)
	if len(fields) == 0 || !strings.EqualFold(fields[0], "Basic") {
		return "", false
	}
	credentials, err := base64.StdEncoding.DecodeString(strings.Join(fields[1:], " "))
	if err != nil {
		return "", true
	}
	_, password, _ = strings.Cut(string(credentials), ":")
	return password, true
}

// isFromBrowser reports whether a browser sent the request: it has Fetch Metadata headers or, over plain HTTP, where browsers
// omit them, it accepts HTML.
func isFromBrowser(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") != "" || strings.Contains(r.Header.Get("Accept"), "text/html")
}
