package transfer

import (
	"net"
	"net/http"
)

// Identity is who sends a request. Until the access-key handler has accepted it, only the peer is known.
type Identity struct {
	Client string
	Key    string // the name of its key; empty without one
}

func peer(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// WithIdentity records the sender of a request. It has to be between the access-key handler and the proxy, where headers can be
// trusted. The name of the key is forwarded to Immich only if forward is true.
func WithIdentity(keyNameHeader string, forward bool, next http.Handler) http.Handler {
	keyNameHeader = http.CanonicalHeaderKey(keyNameHeader)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := exchangeOf(r.Context()); x != nil {
			x.identity.Client = first(r.Header["X-Real-Ip"])
			x.identity.Key = first(r.Header[keyNameHeader])
			x.forward(r)
		}
		if !forward {
			delete(r.Header, keyNameHeader)
		}
		next.ServeHTTP(w, r)
	})
}

// first returns what http.Header.Get does, for a name in its canonical form.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
