// Package semantics has what the servers of each version of HTTP have in common: what a response says about its body (RFC 9110), and
// what net/http does with handlers.
package semantics

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// CheckStatus panics, as net/http does, when a handler writes a status that is none.
func CheckStatus(status int) {
	if status < http.StatusContinue || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
}

// IsInterim is true of a response that another follows (RFC 9110, section 15.2).
func IsInterim(status int) bool {
	return status >= http.StatusContinue && status < http.StatusOK && status != http.StatusSwitchingProtocols
}

// Body is that of a response, from Begin on.
type Body struct {
	Status   int      // 0 until the response begins
	Length   int64    // as announced, -1 if it was not
	Written  int64    // bytes
	Trailers []string // names that were announced
}

// Begin takes what the headers say of the body.
func (b *Body) Begin(status int, h http.Header) {
	b.Status, b.Length = status, -1
	if values := h["Content-Length"]; len(values) > 0 {
		if length, err := strconv.ParseInt(values[0], 10, 64); err == nil && length >= 0 {
			b.Length = length
		}
	}
	for _, names := range h["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			b.Trailers = append(b.Trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

// IsAllowed reports whether a response with its status may have a body (RFC 9110, section 6.4.1).
func (b *Body) IsAllowed() bool {
	return b.Status >= http.StatusOK && b.Status != http.StatusNoContent && b.Status != http.StatusNotModified
}

// Count counts n more bytes. It returns http.ErrBodyNotAllowed, or http.ErrContentLength if there are more than were announced.
func (b *Body) Count(n int) error {
	if !b.IsAllowed() {
		return http.ErrBodyNotAllowed
	}
	b.Written += int64(n)
	if b.Length >= 0 && b.Written > b.Length {
		return http.ErrContentLength
	}
	return nil
}

// FinalTrailers returns the trailers that the headers have at the end: those that were announced, and those with http.TrailerPrefix.
func (b *Body) FinalTrailers(h http.Header) http.Header {
	trailers := http.Header{}
	for name, values := range h {
		if later, found := strings.CutPrefix(name, http.TrailerPrefix); found && len(values) > 0 {
			trailers[later] = values
		}
	}
	for _, name := range b.Trailers {
		if values := h[name]; len(values) > 0 {
			trailers[name] = append(trailers[name], values...)
		}
	}
	return trailers
}
