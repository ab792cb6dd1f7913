package proxy

import (
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
)

// appendHead appends the head of the request to Immich. Hop-by-hop headers are left out (RFC 9110, section 7.6.1), and the peer
// is added to X-Forwarded-For.
func appendHead(head []byte, target *url.URL, r *http.Request) []byte {
	head = append(head, r.Method...)
	head = append(head, ' ')
	head = append(head, requestURI(target, r.URL)...)
	head = append(head, " HTTP/1.1\r\nHost: "...)
	head = append(head, r.Host...)
	head = append(head, "\r\n"...)
	named := connectionNames(r.Header["Connection"])
	for name, values := range r.Header {
		if isHopByHop(name) || named[name] {
			continue
		}
		switch name {
		case "Host", "Content-Length", "X-Forwarded-For":
		case "User-Agent":
			if len(values) > 0 && values[0] != "" {
				head = appendHeader(head, name, values[0])
			}
		default:
			for _, value := range values {
				head = appendHeader(head, name, value)
			}
		}
	}
	if wantsTrailers(r.Header["Te"]) {
		head = append(head, "Te: trailers\r\n"...)
	}
	if protocol := upgradeType(r.Header); protocol != "" {
		head = append(head, "Connection: Upgrade\r\n"...)
		head = appendHeader(head, "Upgrade", protocol)
	}
	return append(appendForwardedFor(head, r), "\r\n"...)
}

// requestURI returns the path and query as the client has sent them.
func requestURI(target, requested *url.URL) string {
	if requested.Opaque == "" {
		return requested.RequestURI()
	}
	addressed := *requested
	addressed.Scheme, addressed.Host = target.Scheme, target.Host
	return addressed.RequestURI()
}

func appendForwardedFor(head []byte, r *http.Request) []byte {
	chain := r.Header["X-Forwarded-For"]
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil {
		chain = append(chain[:len(chain):len(chain)], peer)
	} else if chain == nil {
		return head
	}
	return appendHeader(head, "X-Forwarded-For", strings.Join(chain, ", "))
}

// appendHeader replaces line ends, which no server accepts, as net/http does.
func appendHeader(head []byte, name, value string) []byte {
	head = append(head, name...)
	head = append(head, ": "...)
	start := len(head)
	head = append(head, textproto.TrimString(value)...)
	for i := start; i < len(head); i++ {
		if head[i] == '\r' || head[i] == '\n' {
			head[i] = ' '
		}
	}
	return append(head, "\r\n"...)
}

// isHopByHop is true of what ReverseProxy removes.
func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// namedHeaders are those that a Connection header names.
type namedHeaders struct {
	value string
	names map[string]bool
}

// lastNamed is almost always the value looked up: the access-key handler sets the Connection header of all requests.
var lastNamed atomic.Pointer[namedHeaders]

func connectionNames(values []string) map[string]bool {
	if len(values) == 0 {
		return nil
	}
	value := values[0]
	if len(values) > 1 {
		value = strings.Join(values, ",")
	}
	if last := lastNamed.Load(); last != nil && last.value == value {
		return last.names
	}
	named := &namedHeaders{value, map[string]bool{}}
	for name := range strings.SplitSeq(value, ",") {
		if name = textproto.TrimString(name); name != "" {
			named.names[textproto.CanonicalMIMEHeaderKey(name)] = true
		}
	}
	lastNamed.Store(named)
	return named.names
}

func removeHopByHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for name := range h {
		if isHopByHop(name) {
			delete(h, name)
		}
	}
}

func wantsTrailers(te []string) bool {
	for _, value := range te {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(token), "trailers") {
				return true
			}
		}
	}
	return false
}
