package immichaccess

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// The cookie's name on HTTPS, where the prefix makes browsers refuse it from any other host (RFC 6265bis, section
// 4.1.3.2), and on HTTP.
const (
	secureCookie = "__Host-immichaccess"
	plainCookie  = "immichaccess"
)

// useCookie turns the key in a cookie into a header, unless the request has one already, and leaves the other cookies.
func (b *browser) useCookie(r *http.Request) {
	others, secure, plain := sortCookies(r.Header["Cookie"])
	if len(secure)+len(plain) == 0 {
		return
	}
	set(r.Header, "Cookie", strings.Join(others, "; "))
	keys := secure
	if len(keys) == 0 && !b.forwarding.secure(r) {
		keys = plain
	}
	header := b.keys.header
	if r.Header[header] == nil && len(keys) > 0 {
		r.Header[header] = keys
	}
}

// sortCookies returns the keys in our cookies, and the other cookies as they came.
func sortCookies(lines []string) (others, secure, plain []string) {
	for _, line := range lines {
		for _, cookie := range strings.Split(line, ";") {
			cookie = strings.TrimSpace(cookie)
			name, value, _ := strings.Cut(cookie, "=")
			switch name {
			case secureCookie:
				secure = append(secure, decodeCookie(value))
			case plainCookie:
				plain = append(plain, decodeCookie(value))
			default:
				others = append(others, cookie)
			}
		}
	}
	return others, secure, plain
}

// decodeCookie returns "", which is no key, for what no header can carry.
func decodeCookie(value string) string {
	key, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || strings.IndexFunc(string(key), unicode.IsControl) >= 0 {
		return ""
	}
	return string(key)
}

// keep makes the browser keep the key.
func (b *browser) keep(w http.ResponseWriter, r *http.Request, key string) {
	secure := b.forwarding.secure(r)
	name := plainCookie
	if secure {
		name = secureCookie
	}
	setCookie(w, name, base64.RawURLEncoding.EncodeToString([]byte(key)), secure, int(b.session/time.Second))
}

// forget makes the browser forget its key. It may have one from the time before HTTPS, too.
func (b *browser) forget(w http.ResponseWriter, r *http.Request) {
	setCookie(w, plainCookie, "", false, -1)
	if b.forwarding.secure(r) {
		setCookie(w, secureCookie, "", true, -1)
	}
}

func setCookie(w http.ResponseWriter, name, value string, secure bool, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
