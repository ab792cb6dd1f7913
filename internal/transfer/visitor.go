package transfer

import (
	"context"
	"net"
	"net/http"
)

// Visitor is who sends a request. Until the handler has let it in, nothing is known but the peer.
type Visitor struct {
	Client string
	Key    string // the name of its key; empty without one
}

type visitorKey struct{}

// receive takes a request in, with what its connection tells.
func receive(r *http.Request) (*Visitor, *http.Request) {
	visitor := &Visitor{Client: r.RemoteAddr}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		visitor.Client = host
	}
	return visitor, r.WithContext(context.WithValue(r.Context(), visitorKey{}, visitor))
}

// WithIntroduction stands between the handler and the proxy, where headers can be believed, and notes who was let in. The
// name of the key goes on to Immich only if that was asked for.
func WithIntroduction(keyNameHeader string, forward bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if visitor, ok := r.Context().Value(visitorKey{}).(*Visitor); ok {
			visitor.Client = r.Header.Get("X-Real-Ip")
			visitor.Key = r.Header.Get(keyNameHeader)
		}
		if !forward {
			r.Header.Del(keyNameHeader)
		}
		next.ServeHTTP(w, r)
	})
}
