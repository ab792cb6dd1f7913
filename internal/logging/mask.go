package logging

import (
	"net/url"
	"strings"
)

const mask = "****"

// sharePrefixes lead to shared links; what follows is as good as a password.
var sharePrefixes = []string{"/share/", "/s/"}

// secretParameters are those of Immich's that let somebody in.
var secretParameters = []string{"key", "slug", "sessionKey", "apiKey"}

// Path returns a URL's path and query without what would let a reader of the log in.
func Path(u *url.URL) string {
	path := u.EscapedPath()
	plain := "/" + strings.TrimLeft(strings.ToLower(u.Path), "/")
	for _, prefix := range sharePrefixes {
		if strings.HasPrefix(plain, prefix) {
			path = prefix + mask
		}
	}
	if u.RawQuery == "" {
		return path
	}
	return path + "?" + query(u.RawQuery)
}

// query keeps the order and the spelling of what it does not mask, so that it can be compared with Immich's own log.
func query(raw string) string {
	parameters := strings.FieldsFunc(raw, func(c rune) bool { return c == '&' || c == ';' })
	for i, parameter := range parameters {
		name, _, _ := strings.Cut(parameter, "=")
		if isSecret(name) {
			parameters[i] = name + "=" + mask
		}
	}
	return strings.Join(parameters, "&")
}

func isSecret(name string) bool {
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	for _, secret := range secretParameters {
		if strings.EqualFold(name, secret) {
			return true
		}
	}
	return false
}
