package proxy

import (
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/immichaccess/immichaccess/internal/http1"
)

// appendHead appends the head of the request to Immich. Hop-by-hop headers are left out (RFC 9110, section 7.6.1), and the peer
// is added to X-Forwarded-For.
func appendHead(head []byte, target *url.URL, r *http.Request) []byte {
	head = append(head, r.Method...)
	head = append(head, ' ')
	head = appendRequestURI(head, target, r.URL)
	head = append(head, " HTTP/1.1\r\nHost: "...)
	head = append(head, r.Host...)
	head = append(head, "\r\n"...)
	named := connectionNames(r.Header["Connection"])
	for name, values := range r.Header {
		if isHopByHop(name) || named.has(name) {
			continue
		}
		switch name {
		case "Host", "Content-Length", "X-Forwarded-For":
		case "User-Agent":
			if len(values) > 0 && values[0] != "" {
				head = http1.AppendHeader(head, name, values[0])
			}
		default:
			for _, value := range values {
				head = http1.AppendHeader(head, name, value)
			}
		}
	}
	if wantsTrailers(r.Header["Te"]) {
		head = append(head, "Te: trailers\r\n"...)
	}
	if protocol := upgradeType(r.Header); protocol != "" {
		head = append(head, "Connection: Upgrade\r\n"...)
		head = http1.AppendHeader(head, "Upgrade", protocol)
	}
	return append(appendForwardedFor(head, r), "\r\n"...)
}

// appendRequestURI appends the path and query as the client has sent them.
func appendRequestURI(head []byte, target, requested *url.URL) []byte {
	if requested.Opaque != "" {
		addressed := *requested
		addressed.Scheme, addressed.Host = target.Scheme, target.Host
		return append(head, addressed.RequestURI()...)
	}
	path := requested.EscapedPath()
	if path == "" {
		path = "/"
	}
	head = append(head, path...)
	if requested.ForceQuery || requested.RawQuery != "" {
		head = append(append(head, '?'), requested.RawQuery...)
	}
	return head
}

func appendForwardedFor(head []byte, r *http.Request) []byte {
	chain := r.Header["X-Forwarded-For"]
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	switch {
	case err != nil && chain == nil:
		return head
	case err != nil:
		return http1.AppendHeader(head, "X-Forwarded-For", strings.Join(chain, ", "))
	case chain == nil:
		return http1.AppendHeader(head, "X-Forwarded-For", peer)
	}
	return http1.AppendHeader(head, "X-Forwarded-For", strings.Join(chain, ", ")+", "+peer)
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
	value   string
	names   map[string]bool
	lengths uint64 // of the names, one bit each; it spares most look-ups
}

func (n *namedHeaders) has(name string) bool {
	return n.lengths&lengthBit(name) != 0 && n.names[name]
}

func lengthBit(name string) uint64 {
	return 1 << (len(name) % 64)
}

var (
	noneNamed namedHeaders
	// lastNamed is almost always the value looked up: the access-key handler sets the Connection header of all requests.
	lastNamed atomic.Pointer[namedHeaders]
)

func connectionNames(values []string) *namedHeaders {
	if len(values) == 0 {
		return &noneNamed
	}
	value := values[0]
	if len(values) > 1 {
		value = strings.Join(values, ",")
	}
	if last := lastNamed.Load(); last != nil && last.value == value {
		return last
	}
	named := &namedHeaders{value: value, names: map[string]bool{}}
	for name := range strings.SplitSeq(value, ",") {
		if name = textproto.TrimString(name); name != "" {
			name = textproto.CanonicalMIMEHeaderKey(name)
			named.names[name] = true
			named.lengths |= lengthBit(name)
		}
	}
	lastNamed.Store(named)
	return named
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
