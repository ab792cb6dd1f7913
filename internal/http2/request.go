package http2

import (
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// requested begins a request whose head is complete.
func (c *conn) requested(id uint32) error {
	head := &c.head
	if id <= c.newest {
		return c.unexpectedHead(id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = id
	switch {
	case c.stopping: // as the client was told
		if !head.ends {
			c.ignore(id)
		}
		return nil
	case len(c.streams) >= c.server.MaxStreams && !c.makeRoom():
		return streamError{id, connError{codeRefused, "too many requests at the same time"}}
	case head.malformed && !head.oversized:
		return streamError{id, connError{codeProtocol, "the head of a request is malformed"}}
	}
	s := &stream{conn: c, id: id, window: c.out.initial, remoteEnded: head.ends}
	s.ctx.Context = c.ctx
	if err := s.takeHead(&head.fields); err != nil {
		return err
	}
	return c.schedule(s)
}

// unexpectedHead is for a stream that has ended.
func (c *conn) unexpectedHead(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ignores(id, c.head.ends) {
		return nil
	}
	return connError{codeStreamClosed, "HEADERS on a stream that has ended"}
}

// takeHead sets the request and its handler.
func (s *stream) takeHead(f *fields) error {
	malformed := func(reason string) error { return streamError{s.id, connError{codeProtocol, reason}} }
	r := s.conn.template.WithContext(&s.ctx)
	r.Header = f.header
	switch {
	case f.oversized:
		s.refuse(http.StatusRequestHeaderFieldsTooLarge, "the head of the request is too large")
	case forbiddenField(f.header) != "":
		s.refuse(http.StatusBadRequest, fmt.Sprintf("HTTP/2 does not allow this request header: %s", forbiddenField(f.header)))
	default:
		s.handler = s.conn.server.Handler
	}
	if !setTarget(r, &f.pseudo) && !f.oversized {
		return malformed("the target of a request is malformed")
	}
	s.setTrailers(r)
	continues := takeExpectation(r.Header)
	if cookies := r.Header["Cookie"]; len(cookies) > 1 {
		r.Header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	length, ok := contentLength(r.Header, s.remoteEnded)
	if !ok {
		return malformed("the length of a request is malformed")
	}
	r.ContentLength, r.Body = length, http.NoBody
	if !s.remoteEnded {
		s.body = newBody(s, length, continues)
		r.Body = s.body
	}
	s.request = r
	return nil
}

// setTarget returns false if the pseudo-header fields make no sense together (RFC 9113, section 8.3.1 and 8.5).
func setTarget(r *http.Request, pseudo *pseudoFields) bool {
	r.Method, r.Host = pseudo.method, pseudo.authority
	if r.Host == "" {
		r.Host = r.Header.Get("Host")
	}
	if !httpguts.ValidHostHeader(r.Host) || !httpguts.ValidHeaderFieldName(r.Method) {
		r.URL = &url.URL{}
		return false
	}
	if r.Method == http.MethodConnect {
		r.RequestURI, r.URL = pseudo.authority, &url.URL{Host: pseudo.authority}
		return pseudo.path == "" && pseudo.scheme == "" && pseudo.authority != ""
	}
	target, err := url.ParseRequestURI(pseudo.path)
	if err != nil || strings.ContainsAny(pseudo.path, " \x7f") { // other control characters it refuses itself
		r.URL = &url.URL{}
		return false
	}
	r.RequestURI, r.URL = pseudo.path, target
	return (pseudo.scheme == "https" || pseudo.scheme == "http") && !strings.Contains(pseudo.authority, "@")
}

// forbiddenField returns the name of a field about the connection, of which HTTP/2 has none (RFC 9113, section 8.2.2).
func forbiddenField(h http.Header) string {
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"} {
		if _, given := h[name]; given {
			return name
		}
	}
	if te := h["Te"]; len(te) > 1 || len(te) == 1 && te[0] != "trailers" && te[0] != "" {
		return "Te"
	}
	return ""
}

// takeExpectation removes Expect: the body asks the client to continue when it is read.
func takeExpectation(h http.Header) bool {
	if !httpguts.HeaderValuesContainsToken(h["Expect"], "100-continue") {
		return false
	}
	delete(h, "Expect")
	return true
}

// contentLength is -1 if there is a body whose length was not announced. A length must be that of the body (RFC 9113, section 8.1.1).
func contentLength(h http.Header, hasEnded bool) (length int64, ok bool) {
	values := h["Content-Length"]
	if len(values) == 0 {
		if hasEnded {
			return 0, true
		}
		return -1, true
	}
	parsed, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil || len(values) > 1 || hasEnded && parsed > 0 {
		return 0, false
	}
	return int64(parsed), true
}

// setTrailers prepares for the trailers that the request announces. Others are dropped.
func (s *stream) setTrailers(r *http.Request) {
	for _, value := range r.Header["Trailer"] {
		for name := range strings.SplitSeq(value, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if !httpguts.ValidTrailerHeader(name) {
				continue
			}
			if r.Trailer == nil {
				r.Trailer = http.Header{}
			}
			r.Trailer[name] = nil
		}
	}
	delete(r.Header, "Trailer")
}

// refuse has a request answered that the server's handler must not see.
func (s *stream) refuse(status int, reason string) {
	s.deadline = time.Now().Add(s.conn.server.HeadTimeout)
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reason+"\n")
	})
}
