package immichaccess

import (
	"net/http"
	"strings"
)

// reservedHeaders can't carry a key or its name: Immich, its clients or the proxies in between need them.
var reservedHeaders = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Authorization": true, "Connection": true, "Content-Length": true,
	"Content-Type": true, "Cookie": true, "Expect": true, "Forwarded": true, "Host": true, "Keep-Alive": true, "Origin": true, "Range": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "User-Agent": true,
	"X-Api-Key": true, "X-Real-Ip": true,
}

// reservedPrefixes are families of such headers, X-Immich-Checksum and X-Forwarded-For among them.
var reservedPrefixes = []string{"Sec-", "X-Immich-", "X-Forwarded-", "Proxy-"}

// maxDashes bounds the underscore variants of a header, which double with each dash.
const maxDashes = 5

// parseHeaderName returns the canonical form of a name.
func parseHeaderName(option, text string, errs *problems) string {
	name := http.CanonicalHeaderKey(text)
	switch {
	case !isHeaderName(name):
		errs.add(option, "%q is not a header name; allowed are letters, digits and up to %d dashes, as in X-Access-Key", name, maxDashes)
	case isReserved(name):
		errs.add(option, "%q is needed by Immich or by a proxy; choose another header, such as %s", name, defaultKeyHeader)
	}
	return name
}

func isHeaderName(name string) bool {
	for i := 0; i < len(name); i++ {
		if !isTokenByte(name[i]) {
			return false
		}
	}
	return strings.Count(name, "-") <= maxDashes
}

func isReserved(name string) bool {
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return reservedHeaders[name]
}

// isTokenByte excludes bytes that RFC 9110, section 5.6.2, allows in a name but some servers drop or take for a dash.
func isTokenByte(c byte) bool {
	return c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// underscoreVariants returns the forms in which a header can arrive when some of its dashes are written as underscores,
// which some servers take for the same header, and the canonical form itself.
func underscoreVariants(canonical string) []string {
	forms := []string{""}
	for i := 0; i < len(canonical); i++ {
		forms = appendByte(forms, canonical[i])
	}
	return forms
}

// appendByte branches at a dash. After an underscore, net/http's canonical form has a lower-case letter.
func appendByte(forms []string, c byte) []string {
	var longer []string
	for _, form := range forms {
		if strings.HasSuffix(form, "_") {
			longer = append(longer, form+strings.ToLower(string(rune(c))))
		} else {
			longer = append(longer, form+string(rune(c)))
		}
		if c == '-' {
			longer = append(longer, form+"_")
		}
	}
	return longer
}
