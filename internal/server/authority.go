package server

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/immichaccess/immichaccess/internal/answer"
)

const checkAddress = "Check the address in the browser."

// CheckAuthority responds with 421 to requests for hosts other than domains (RFC 9110, section 15.5.20), so that a name that
// somebody else points at this address, as in DNS rebinding, does not reach Immich. Without domains every host is accepted. An
// invalid host, such as one with a path or user information, gets 400 in any case: Immich and its clients would parse it
// differently.
func CheckAuthority(domains []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, valid := hostOf(r)
		switch {
		case !valid:
			refuse(w, r, http.StatusBadRequest, "The host of the request is invalid", checkAddress)
		case len(domains) > 0 && !isOneOf(domains, host) && !isHealthCheck(r, host):
			refuse(w, r, http.StatusMisdirectedRequest, "This server does not serve this host", checkAddress)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOf returns the host of the request, without port and brackets. It is not valid with user information, or in HTTP/2 and
// HTTP/3 with a Host that differs from :authority.
func hostOf(r *http.Request) (host string, valid bool) {
	if r.URL.User != nil {
		return "", false
	}
	for _, other := range r.Header["Host"] {
		if !strings.EqualFold(other, r.Host) {
			return "", false
		}
	}
	return splitAuthority(r.Host)
}

func splitAuthority(authority string) (host string, valid bool) {
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		host, port = authority[:colon], authority[colon+1:]
	}
	if strings.Trim(port, "0123456789") != "" {
		return "", false
	}
	if inside, bracketed := strings.CutPrefix(host, "["); bracketed {
		inside, closed := strings.CutSuffix(inside, "]")
		_, err := netip.ParseAddr(inside)
		return inside, closed && err == nil
	}
	return host, !strings.ContainsFunc(host, isNoHostCharacter)
}

// isNoHostCharacter reports whether c delimits parts of a URL or is not allowed in one (RFC 3986, section 3.2.2).
func isNoHostCharacter(c rune) bool {
	return c <= ' ' || c == 0x7f || strings.ContainsRune(`/\?#@:[]<>"^{}|`+"`", c)
}

func isOneOf(domains []string, host string) bool {
	host = strings.TrimSuffix(host, ".")
	for _, domain := range domains {
		if isFor(strings.TrimSuffix(domain, "."), host) {
			return true
		}
	}
	return false
}

// isFor lets a wildcard match one label, as in certificates (RFC 9525, section 6.3).
func isFor(domain, host string) bool {
	if parent, wildcard := strings.CutPrefix(domain, "*."); wildcard {
		label, rest, _ := strings.Cut(host, ".")
		return label != "" && strings.EqualFold(rest, parent)
	}
	return strings.EqualFold(host, domain)
}

// isHealthCheck reports whether a load balancer may send the request: it knows only the address of the server. The request
// still needs a key.
func isHealthCheck(r *http.Request, host string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path != "/api/server/ping" {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// refuse responds immediately. The request's body is not read.
func refuse(w http.ResponseWriter, r *http.Request, status int, message, advice string) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	answer.Error(w, r, status, message, advice)
}
