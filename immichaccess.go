// Package immichaccess is the door in front of Immich, a photo server that people run at home: it asks for an access key,
// tells Immich honestly who is calling, and bounds uploads without ever buffering them.
//
// It is a middleware: [New] wraps the handler that leads to Immich. Traefik runs the package as a plugin, in the Yaegi
// interpreter, so everything here keeps to the standard library of Go 1.22. What a request costs there decides the shape
// of the code: all is prepared in New, and rare paths live in functions of their own, because Yaegi pays for every
// expression of a function it enters, taken or not.
package immichaccess

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httputil"
)

// Config holds the options, as users write them. The zero value is safe: it asks for a key, and since it has none, New
// refuses it.
type Config struct {
	// Keys are the access keys, one entry each: [NAME:]SECRET [expires=2027-01-31] [methods=GET,HEAD].
	// SECRET is the key itself or "sha256:" and 64 hex digits. A key works through the end of its last day, in UTC.
	// Default: none.
	Keys []string
	// KeysFile is a file with more entries, one a line, "#" for comments. A change takes effect within 5 s; a file that
	// can't be read or has an error leaves the keys as they were. Default: none.
	KeysFile string
	// RequireKey is "true" or "false"; "false" lets everybody in and ignores the keys. It is a string because Traefik
	// turns an empty value, such as an unset variable in a label, into false for a bool: the door would stand open.
	// Default, also when empty: "true".
	RequireKey string
	// KeyHeader is the request header that carries the key. Default: X-Access-Key, as in Immich's documentation.
	KeyHeader string
	// ForwardKey leaves the key header on the request to Immich. Default: false.
	ForwardKey bool
	// KeyNameHeader is the request header that tells Immich the name of the key; what a client sends in it is discarded.
	// Default: none.
	KeyNameHeader string
	// MaxUploadSize bounds a request body, in bytes or with nginx's units k, m and g (powers of 1024, either case);
	// "0" is no limit. Default, also when empty: 50000M, as in Immich's documentation.
	MaxUploadSize string
	// TrustedProxies are the addresses and CIDRs whose forwarding headers are believed, and the words "loopback"
	// (127.0.0.0/8, ::1) and "private" (RFC 1918, RFC 4193). Default: none, nobody is believed.
	TrustedProxies []string
	// KeylessNetworks are the addresses and CIDRs, and the words of TrustedProxies, whose clients need no key: the network at
	// home. Behind another proxy, name that in TrustedProxies, else its own address counts. Default: none.
	KeylessNetworks []string
	// PublicRoutes opens routes of Immich's to everybody: "ping", "well-known", "oauth", "shared-links", "session-media".
	// Default: none.
	PublicRoutes []string
	// BrowserLogin shows a page to a browser that is denied, to type the key into; a cookie then lets it in. The page is at
	// /.immichaccess, the way out at /.immichaccess/logout. Default: false.
	BrowserLogin bool
	// BrowserSession is how long that cookie lasts, as a Go duration. Default, also when empty: 720h.
	BrowserSession string
	// MaxWrongKeys is how many distinct wrong keys a client (IPv4 address, IPv6 /64) may try within WrongKeyWindow, 1 to
	// 1000; then it gets 429, even with a right key, until the first of them is as old as the window. "0" is no limit. It is
	// a string for the same reason as RequireKey. Default, also when empty: "10".
	MaxWrongKeys string
	// WrongKeyWindow is a Go duration. Default, also when empty: 15m.
	WrongKeyWindow string
	// DenyStatus answers a request without a right key: 401, 403 or 404. Default, also when 0: 403.
	DenyStatus int
	// LogDenied writes a line for each denied request, at most ten a second. Default, which CreateConfig sets: true.
	LogDenied bool
}

// CreateConfig returns the default options; Traefik calls it before it fills in the user's.
func CreateConfig() *Config {
	return &Config{
		RequireKey:     "true",
		KeyHeader:      defaultKeyHeader,
		MaxUploadSize:  defaultMaxUploadSize,
		BrowserSession: defaultBrowserSession,
		MaxWrongKeys:   defaultMaxWrongKeys,
		WrongKeyWindow: defaultWrongKeyWindow,
		DenyStatus:     http.StatusForbidden,
		LogDenied:      true,
	}
}

// New returns the handler that guards next. The name, of the middleware in Traefik, marks its log lines. The error tells
// of every option that is wrong, never of a secret. The key file is followed until ctx is done; Traefik ends it at a reload.
//
// A request reaches next with X-Real-Ip, X-Forwarded-Proto and X-Forwarded-Host set, and with X-Forwarded-For as far as
// trusted proxies vouch for it. As httputil.ReverseProxy and Traefik do, next is to append the peer to that, and to drop the
// headers that Connection names.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	a, err := prepare(next, config, name)
	if err != nil {
		return nil, err
	}
	a.keys.follow(ctx)
	a.admitted = a.handler(false, nil)
	a.calm = a.handler(a.keys.guarded(), nil)
	door := a.handler(a.keys.guarded(), a.lockout.alarm)
	if a.browser == nil {
		return door, nil
	}
	a.browser.door = door
	return a.browser, nil
}

// access is what New prepares, one room a file.
type access struct {
	next       http.Handler
	keys       *keyring
	forwarding *forwarding
	keyless    *networks
	public     routes
	lockout    *lockout
	browser    *browser // nil without browserLogin
	limit      *uploadLimit
	deny       *denials
	calm       http.Handler // for requests of others than those who may be locked out
	admitted   http.Handler // for requests that may pass
}

func prepare(next http.Handler, config *Config, name string) (*access, error) {
	if next == nil || config == nil {
		return nil, errors.New("immichaccess: New needs a next handler and a configuration")
	}
	var errs problems
	log := newLogbook(config, name)
	forwarding := newForwarding(config, &errs)
	deny := newDenials(config, log, forwarding, &errs)
	a := &access{
		next:       next,
		keys:       newKeyring(config, log, &errs),
		forwarding: forwarding,
		keyless:    parseNetworks("keylessNetworks", config.KeylessNetworks, &errs),
		public:     newRoutes(config.PublicRoutes, &errs),
		lockout:    newLockout(config, &errs),
		limit:      newUploadLimit(config, next, deny, &errs),
		deny:       deny,
	}
	a.browser = newBrowser(config, a, &errs)
	return a, errs.err(name)
}

// handler returns the path of a request, with or without a look at its key and at the alarm of the lock-out. It is a closure
// over plain variables, and tests one thing at a time, since Yaegi pays for each field that a method reads and for each
// expression.
func (a *access) handler(guarded bool, alarm chan struct{}) http.Handler {
	next, admit, viaProxy, upload := a.next, a.admit, a.viaProxy, a.limit.serve
	keyHeader, spentHeader, suspects := a.keys.header, a.keys.spent, a.forwarding.suspects
	plainKeys, latestKeys, keysChange := a.keys.plain.Load().(digests), a.keys.plain.Load, a.keys.file != nil
	digest, whileAlarmed := sha256.Sum256, a.whileAlarmed

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		if guarded {
			if len(alarm) != 0 {
				whileAlarmed(w, r)
				return
			}
			key := h[keyHeader]
			if len(key) != 1 {
				admit(w, r)
				return
			}
			known := plainKeys
			if keysChange {
				known = latestKeys().(digests)
			}
			if !known[digest([]byte(key[0]))] {
				admit(w, r)
				return
			}
		}
		if len(r.RemoteAddr) < 3 { // no "IP:port": a Unix socket
			viaProxy(w, r)
			return
		}
		if suspects[r.RemoteAddr[:3]] {
			viaProxy(w, r)
			return
		}

		// The same as in rewrite, written out because a loop costs three times as much.
		delete(h, spentHeader)
		h["Connection"] = endsHere
		delete(h, "Forwarded")
		delete(h, "X-Forwarded-For")
		delete(h, "X-Forwarded-Port")
		delete(h, "X-Forwarded-Prefix")
		delete(h, "X_forwarded_for")
		delete(h, "X_forwarded_host")
		delete(h, "X_forwarded_proto")
		delete(h, "X_real_ip")
		(&httputil.ProxyRequest{In: r, Out: r}).SetXForwarded()
		h["X-Real-Ip"] = h["X-Forwarded-For"]
		delete(h, "X-Forwarded-For") // next appends the peer itself

		if r.ContentLength != 0 || r.ProtoMajor == 3 {
			upload(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// whileAlarmed takes over as long as some client is locked out, and sends the others back.
func (a *access) whileAlarmed(w http.ResponseWriter, r *http.Request) {
	if a.lockout.mayConcern(r.RemoteAddr) || a.forwarding.suspects[r.RemoteAddr[:3]] {
		a.admit(w, r)
		return
	}
	a.calm.ServeHTTP(w, r)
}

// admit takes the second look at a request, and if it may pass, sends it on its way.
func (a *access) admit(w http.ResponseWriter, r *http.Request) {
	name, denied := a.judge(r)
	if denied != nil {
		a.deny.forKey(w, r, denied)
		return
	}
	a.keys.introduce(r, name)
	a.admitted.ServeHTTP(w, r)
}

// judge returns the name of the request's key, if it has one, or why it is denied.
func (a *access) judge(r *http.Request) (name string, denied *denial) {
	if !a.keys.required {
		return "", nil
	}
	name, denied = a.keys.judge(r.Header[a.keys.header], r.Method)
	if denied == nil && !a.lockout.alarmed() {
		return name, nil
	}
	if a.forwarding.isOneOf(a.keyless, r) {
		return name, nil
	}
	if denied == nil || denied.wrong || a.lockout.alarmed() {
		denied = a.lockout.review(a.forwarding.client(r), denied)
	}
	if denied != nil && a.public.include(r) {
		delete(r.Header, "Upgrade") // nothing public is worth a connection of its own
		return name, nil
	}
	return name, denied
}

func (a *access) viaProxy(w http.ResponseWriter, r *http.Request) {
	delete(r.Header, a.keys.spent)
	a.forwarding.rewrite(r)
	a.limit.serve(w, r)
}
