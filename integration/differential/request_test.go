package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

type protocol string

const (
	http1 protocol = "HTTP/1.1"
	http2 protocol = "HTTP/2"
	http3 protocol = "HTTP/3"
)

var protocols = []protocol{http1, http2, http3}

// request is what a client sends, byte for byte as far as the protocol allows.
type request struct {
	kind     kind
	protocol protocol
	site     int
	entry    int // of the gateway's addresses
	method   string
	path     string
	query    []string // joined by "&"
	fields   []field
	body     string
	chunked  bool    // over HTTP/1.1; else the body's length is announced
	trailers []field // after a body
	framing  []field // other fields about the body's length
}

type field struct{ name, value string }

// kind is who sends a request, and how much of it may be invalid.
type kind string

const (
	mutated   kind = "w" // without a key; anything goes
	regular   kind = "t" // without a key, on a public route, as a client of Immich would send it
	withKey   kind = "k"
	keyless   kind = "h" // from a keyless network
	markField      = "x-case"
)

func (r request) local() string {
	if r.kind == keyless {
		return keylessAddress
	}
	return otherAddress
}

func (r request) target() string {
	if len(r.query) == 0 {
		return r.path
	}
	return r.path + "?" + strings.Join(r.query, "&")
}

// clone returns a copy that shares nothing that changes.
func (r request) clone() request {
	r.query, r.fields, r.trailers, r.framing = slices.Clone(r.query), slices.Clone(r.fields), slices.Clone(r.trailers), slices.Clone(r.framing)
	return r
}

// http1Bytes returns the request as it is sent over HTTP/1.1.
func (r request) http1Bytes(host, mark string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", r.method, r.target(), host, markField, mark)
	for _, f := range slices.Concat(r.fields, r.framing) {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	switch {
	case r.body == "" && !r.chunked:
		b.WriteString("\r\n")
	case !r.chunked:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.body), r.body)
	default:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if r.body != "" {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(r.body), r.body)
		}
		b.WriteString("0\r\n")
		for _, f := range r.trailers {
			fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// binaryFields returns the request's fields for HTTP/2 and HTTP/3. Those that begin with a colon have to come first.
func (r request) binaryFields(host, mark string) []field {
	fields := []field{{":method", r.method}, {":scheme", "https"}, {":authority", host}, {":path", r.target()}}
	rest := []field{{markField, mark}}
	for _, f := range slices.Concat(r.fields, r.framing) {
		if strings.HasPrefix(f.name, ":") {
			fields = append(fields, f)
		} else {
			rest = append(rest, f)
		}
	}
	return append(fields, rest...)
}

// mayConfuseFraming is true of requests after which a connection is not reused.
func (r request) mayConfuseFraming() bool {
	return len(r.framing) > 0
}

func (r request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, site %s (publicRoutes %v), from %s\n  %s %q\n", r.protocol, sites[r.site].name, sites[r.site].publicRoutes, r.local(), r.method, r.target())
	for _, f := range slices.Concat(r.fields, r.framing) {
		fmt.Fprintf(&b, "  %s: %q\n", f.name, f.value)
	}
	if r.body != "" || r.chunked {
		fmt.Fprintf(&b, "  body %q, chunked %t, trailers %q\n", r.body, r.chunked, r.trailers)
	}
	return b.String()
}
