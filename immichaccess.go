// Package immichaccess is an access-key gateway for Immich, a photo server that people run at home. It asks for an access
// key, sets forwarding headers that Immich can rely on, and limits the size of uploads without ever buffering them.
//
// It is a middleware: [New] wraps the handler that leads to Immich. Traefik runs the package as a plugin, in the Yaegi
// interpreter, so everything here keeps to the standard library of Go 1.22. The cost of a request in Yaegi determines the
// structure of the code: New prepares everything it can, and rare paths are functions of their own, because a call costs time
// for every expression in the function, evaluated or not.
package immichaccess

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httputil"
)

// New returns the handler that guards next. The name is that of the middleware in Traefik: log lines begin with it, and go to
// package log as text. Without a name they go to slog's default logger, with attributes. The error lists every invalid option,
// and contains no secret. KeysFile is watched until ctx is done; Traefik cancels it at a reload.
//
// A request reaches next with X-Real-Ip, X-Forwarded-Proto and X-Forwarded-Host set. X-Forwarded-For contains the part that
// trusted proxies vouch for, and is absent without them. Next must append the peer's address, and drop the headers that
// Connection names, as httputil.ReverseProxy and Traefik do.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	if next == nil || config == nil {
		return nil, errors.New("immichaccess: New needs a next handler and a configuration")
	}
	s, err := parse(config, name)
	if err != nil {
		return nil, err
	}
	log := newDenialLog(name, s.logDenied)
	if s.ineffective(config) {
		log.warn("requireKey is false: everybody gets in, and keys, keysFile, keylessNetworks, publicRoutes, browserLogin and clientCertificates have no effect")
	}
	g := newGuard(next, s, log)
	g.keys.watch(ctx)
	return g.handler(), nil
}

// guard decides on each request. A request reaches next in one of three ways: fastPath itself admits a valid key; pathWithoutKey
// and browserPath admit public routes and keyless networks, and sessions that were verified before; authorize decides on all
// others, and knows why a request is denied.
type guard struct {
	next       http.Handler
	keys       *keyring
	forwarding *forwarding
	keyless    *networks // whose clients need no key
	public     routes
	lockout    *lockout
	sessions   *sessions // nil without browserLogin
	basicAuth  bool
	limit      *uploadLimit
	deny       *denyResponder

	certificates *clientCertificates // nil without clientCertificates

	forward             http.HandlerFunc // fastPath for a request that is authorized already
	withoutKey          http.HandlerFunc // pathWithoutKey
	withoutLockoutCheck http.HandlerFunc // fastPath for a client that can't be locked out
}

func newGuard(next http.Handler, s *settings, log *denialLog) *guard {
	g := &guard{
		next:       next,
		keys:       newKeyring(s, log),
		forwarding: newForwarding(s.trustedProxies, s.keylessNetworks),
		keyless:    s.keylessNetworks,
		public:     s.publicRoutes,
		lockout:    newLockout(s.maxWrongKeys, s.wrongKeyWindow),
		basicAuth:  s.basicAuth,
	}
	if s.clientCertificates != nil {
		g.certificates = s.clientCertificates
		g.certificates.forwarding = g.forwarding
	}
	if s.browserLogin {
		g.sessions = newSessions(g.keys, g.forwarding, s.sessionSecret, s.browserSession)
	}
	g.deny = &denyResponder{status: s.denyStatus, header: s.keyHeader, basicAuth: s.basicAuth, forwarding: g.forwarding, sessions: g.sessions, log: log}
	g.limit = newUploadLimit(s.maxUploadSize, s.maxUploadText, next, g.deny)
	g.forward = g.fastPath(false, nil)
	g.withoutKey = g.pathWithoutKey()
	g.withoutLockoutCheck = g.fastPath(g.keys.checked(), nil)
	return g
}

// handler returns the path of a request, from the last handler that is added here to the first: login page and session, HTTP
// Basic, and then fastPath.
func (g *guard) handler() http.HandlerFunc {
	path := g.fastPath(g.keys.checked(), g.lockout.active)
	if g.basicAuth {
		path = g.basicPath(path)
	}
	if g.sessions != nil {
		path = g.browserPath(path)
	}
	return path
}

// fastPath returns the path of a request. Without checkKey, the request is already authorized, and only forwarded. lockoutActive
// is not empty while some client is locked out; nil skips that test. It is a closure over plain variables, and tests one thing at
// a time, since in Yaegi each field that a method reads and each expression, even a negation, costs time and memory.
func (g *guard) fastPath(checkKey bool, lockoutActive chan struct{}) http.HandlerFunc {
	next, upload, authorizeSlow, withoutKey, duringLockout := g.next, g.limit.serve, g.authorizeSlow, g.withoutKey, g.duringLockout
	keyHeader, stripHeader, leastTrusted, claimsOf := g.keys.header, g.keys.stripHeader, g.forwarding.leastTrusted, g.forwarding.claimsOf
	keys, latestKeys, keysChange := g.keys.unrestricted.Load().(digests), g.keys.unrestricted.Load, g.keys.file != nil
	admits, digest := g.keys.admits, sha256.Sum256

	return func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		if checkKey {
			if len(lockoutActive) != 0 {
				duringLockout(w, r)
				return
			}
			key := h[keyHeader]
			if len(key) != 1 {
				withoutKey(w, r)
				return
			}
			known := keys // those of New, which are all without a keysFile
			if keysChange {
				known = latestKeys().(digests)
			}
			switch {
			case known[digest([]byte(key[0]))]:
			case admits(r): // a key with restrictions
			default:
				authorizeSlow(w, r)
				return
			}
		}
		var client *claims // nil: the peer is the client
		if r.RemoteAddr >= leastTrusted {
			client = claimsOf(r)
		}

		delete(h, stripHeader)
		h["Connection"] = hopByHop
		delete(h, "Forwarded")
		delete(h, "X-Forwarded-For")
		delete(h, "X-Forwarded-Port")
		delete(h, "X-Forwarded-Prefix")
		p := proxyRequest{In: r, Out: r}
		p.SetXForwarded()
		h["X-Real-Ip"] = h["X-Forwarded-For"]
		delete(h, "X-Forwarded-For") // next appends the peer itself
		if client != nil {
			apply(client, h)
		}

		if r.ContentLength == 0 {
			if r.ProtoMajor != 3 {
				next.ServeHTTP(w, r)
				return
			}
		}
		upload(w, r)
	}
}

// proxyRequest has no dot in its name: in Yaegi, one takes memory for each request.
type proxyRequest = httputil.ProxyRequest

// duringLockout decides while some client is locked out. Requests of clients that certainly are not stay on the fast path.
func (g *guard) duringLockout(w http.ResponseWriter, r *http.Request) {
	// mayConcern is true of an address of fewer than three characters.
	if g.lockout.mayConcern(r.RemoteAddr) || g.forwarding.mayBeTrusted[r.RemoteAddr[:3]] {
		g.authorizeSlow(w, r)
		return
	}
	g.withoutLockoutCheck(w, r)
}

// authorizeSlow decides on a request that fastPath can't authorize by itself.
func (g *guard) authorizeSlow(w http.ResponseWriter, r *http.Request) {
	g.decide(w, r, nil)
}

// decide forwards a request if it is authorized, and denies it otherwise.
func (g *guard) decide(w http.ResponseWriter, r *http.Request, s *session) {
	name, denied := g.authorize(r, s)
	if denied != nil {
		g.deny.forKey(w, r, denied)
		return
	}
	g.keys.setNameHeader(r, name)
	g.forward(w, r)
}

// certificate returns the name of the client's certificate, or why it is not accepted. If a key is sent, the certificate is
// ignored.
func (g *guard) certificate(r *http.Request) (name string, denied *denial) {
	if r.Header[g.keys.header] != nil {
		return "", &denial{reason: noKey}
	}
	return g.certificates.authorize(r)
}

// authorize returns the name of the key that the request or its session has, "" without one, or why it is denied. In this order:
// a key or session, a certificate, a keyless network, the lockout, which denies even a valid key, and a public route. So a
// certificate, a keyless network and a public route admit a locked-out client, too.
func (g *guard) authorize(r *http.Request, s *session) (name string, denied *denial) {
	if !g.keys.required {
		return "", nil
	}
	e, denied := g.keys.authorize(r, s)
	if denied == nil {
		name = e.name
		if !g.lockout.isActive() {
			return name, nil
		}
	}
	if g.certificates != nil {
		certified, rejected := g.certificate(r)
		if rejected == nil {
			return certified, nil
		}
		if denied != nil && denied.reason == noKey {
			denied = rejected
		}
	}
	if g.forwarding.isKeyless(r) {
		return name, nil
	}
	denied = g.lockout.review(g.forwarding.client(r), denied)
	if denied != nil && g.public.admit(r) {
		return "", nil
	}
	return name, denied
}
