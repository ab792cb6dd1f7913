package http1

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

var headEnd = []byte("\r\n\r\n")

// HeadOf returns the head with which the buffer begins, nil if it is not complete.
func HeadOf(buffered []byte) []byte {
	end := bytes.Index(buffered, headEnd)
	if end < 0 {
		return nil
	}
	return buffered[:end+len(headEnd)]
}

// moreHeaders is how many the handlers may add without the map having to grow.
const moreHeaders = 8

// parse fills in the request from a complete head. It returns false unless the head is one that all programs read alike:
// anything else is left to net/http.
func parse(r *http.Request, head string) bool {
	line, rest := CutLine(head)
	if !parseRequestLine(r, line) {
		return false
	}
	most := strings.Count(rest, "\n")
	values := make([]string, 0, most)
	r.Header = make(http.Header, most+moreHeaders)
	for line, rest = CutLine(rest); line != ""; line, rest = CutLine(rest) {
		name, value, ok := ParseHeader(line)
		switch {
		case !ok || IsSpecial(name):
			return false
		case name == "Host":
			if r.Host != "" || !IsPlainHost(value) {
				return false
			}
			r.Host = value
		case name == "Connection" && !parseConnection(r, value):
			return false
		case r.Header[name] != nil:
			r.Header[name] = append(r.Header[name], value)
		default:
			values = append(values, value)
			last := len(values)
			r.Header[name] = values[last-1 : last : last]
		}
	}
	return r.Host != ""
}

func parseRequestLine(r *http.Request, line string) (ok bool) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if method != http.MethodGet && method != http.MethodHead || version != "HTTP/1.1" || !strings.HasPrefix(target, "/") || !IsVisible(target, '!') {
		return false
	}
	r.Method, r.RequestURI = method, target
	return parseTarget(r, target)
}

// parseTarget fills in the request's URL if it has one already, and there is nothing to decode.
func parseTarget(r *http.Request, target string) bool {
	path, query, found := strings.Cut(target, "?")
	if r.URL != nil && isPlainPath(path) && (query != "" || !found) {
		r.URL.Path, r.URL.RawQuery = path, query
		return true
	}
	parsed, err := url.ParseRequestURI(target)
	r.URL = parsed
	return err == nil
}

// isPlainPath is true of a path that is encoded and decoded the same.
func isPlainPath(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '.', c == '-', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// ParseHeader returns the name in its canonical form.
func ParseHeader(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	value = strings.Trim(value, " ")
	if !ok || name == "" || !IsVisible(value, ' ') {
		return "", "", false
	}
	canonical, upper := true, true
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z':
			canonical = canonical && !upper
		case 'A' <= c && c <= 'Z':
			canonical = canonical && upper
		case '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return "", "", false
		}
		upper = name[i] == '-'
	}
	if !canonical {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	return name, value, true
}

// CutLine returns the first line, and what follows it. Where "\r" stands alone, all is one line, which is not visible.
func CutLine(text string) (line, rest string) {
	if end := strings.IndexByte(text, '\r'); end >= 0 && strings.HasPrefix(text[end:], "\r\n") {
		return text[:end], text[end+len("\r\n"):]
	}
	return text, ""
}

// AppendHeader replaces line ends, which no client or server accepts, as net/http does.
func AppendHeader(head []byte, name, value string) []byte {
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

// IsVisible is true of text in ASCII without control characters, from least on.
func IsVisible(text string, least byte) bool {
	for i := range len(text) {
		if text[i] < least || text[i] > '~' {
			return false
		}
	}
	return true
}

// IsSpecial is true of headers that announce a body, change the connection, or that net/http treats specially.
func IsSpecial(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Expect", "Upgrade", "Http2-Settings", "Pragma":
		return true
	}
	return false
}

// parseConnection accepts no names of headers.
func parseConnection(r *http.Request, value string) bool {
	if strings.EqualFold(value, "close") {
		r.Close = true
		return true
	}
	return strings.EqualFold(value, "keep-alive")
}

// IsPlainHost is true of a host that no program reads differently, and that needs no conversion to be sent.
func IsPlainHost(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return host != ""
}
