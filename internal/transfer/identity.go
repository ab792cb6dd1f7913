package transfer

import (
	"net"
	"net/http"
)

// Identity is who sends a request. Until the handler has let it in, nothing is known but the peer.
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

// WithIdentity stands between the handler and the proxy, where headers can be believed, and notes who was let in. The
// name of the key goes on to Immich only if that was asked for.
func WithIdentity(keyNameHeader string, forward bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := exchangeOf(r.Context()); x != nil {
			x.identity.Client = r.Header.Get("X-Real-Ip")
			x.identity.Key = r.Header.Get(keyNameHeader)
			x.forward(r)
		}
		if !forward {
			r.Header.Del(keyNameHeader)
		}
		next.ServeHTTP(w, r)
	})
}
