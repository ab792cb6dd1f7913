package server

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// CheckAuthority answers 421 to requests for hosts other than domains (RFC 9110, section 15.5.20), so that a name that somebody else
// has pointed at this address, as DNS rebinding does, leads nowhere. Without domains every host is as good as another. What is no
// host at all, but has a path or user information in it, is 400 in any case: Immich and its clients would read it differently.
func CheckAuthority(domains []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, valid := hostOf(r)
		switch {
		case !valid:
			writeError(w, r, http.StatusBadRequest, "The host of the request is not valid")
		case len(domains) > 0 && !isOneOf(domains, host) && !isHealthCheck(r, host):
			writeError(w, r, http.StatusMisdirectedRequest, "This server does not answer for this host")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOf returns the host that the request is for, without port and brackets. It is not valid with user information, or in HTTP/2
// and HTTP/3 with a Host that differs from :authority.
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

// isNoHostCharacter is true of what delimits the parts of a URL, and of what no URL holds (RFC 3986, section 3.2.2).
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

// isFor lets a wildcard stand for one label, as certificates do (RFC 9525, section 6.3).
func isFor(domain, host string) bool {
	if parent, wildcard := strings.CutPrefix(domain, "*."); wildcard {
		label, rest, _ := strings.Cut(host, ".")
		return label != "" && strings.EqualFold(rest, parent)
	}
	return strings.EqualFold(host, domain)
}

// isHealthCheck is true of what load balancers ask, which know the server by its address only. It needs a key like anything else.
func isHealthCheck(r *http.Request, host string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path != "/api/server/ping" {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// writeError answers in the shape that Immich gives its own errors, at once and in whole. The request's body is not read.
func writeError(w http.ResponseWriter, r *http.Request, status int, message string) {
	body, _ := json.Marshal(struct { // can't fail
		Message    string `json:"message"`
		Error      string `json:"error"`
		StatusCode int    `json:"statusCode"`
	}{message, http.StatusText(status), status})
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		h.Set("Connection", "close")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}
