package immichaccess

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The cookie's name on HTTPS, where the prefix makes browsers refuse it from any other host (RFC 6265bis, section
// 4.1.3.2), and on HTTP.
const (
	secureCookie = "__Host-immichaccess"
	plainCookie  = "immichaccess"
)

const (
	secretSize    = 32 // bytes of a secret that signs cookies
	sessionIDSize = 16 // bytes

	// Limits on the cookies that are parsed, since anybody can send cookies, and Yaegi takes time for each. Browsers store some
	// 200 per site; a request has one of the gateway's, or a few if another host has set some.
	mostCookies  = 250
	mostSessions = 10
)

// session is what a cookie represents: a login with a key. The cookie contains no secret, and the key's entry is looked up for
// each request, so that a session ends with its key.
type session struct {
	id      string
	name    string // of the key
	entry   *entry // nil: the cookie is not, or no longer, valid
	issued  int64  // Unix time in nanoseconds
	expires int64  // Unix time
}

// sessions issues and verifies the cookies of a handler.
type sessions struct {
	keys       *keyring
	forwarding *forwarding
	secret     []byte
	lifetime   time.Duration
	verified   memo // Cookie header → *verifiedCookie, so that the next request need not verify it
}

// verifiedCookie is the result of an earlier request with the same Cookie header.
type verifiedCookie struct {
	session     *session
	expiresAt   time.Time
	directUntil time.Time // until then, the session admits every request
	others      []string  // the header without the gateway's cookies; nil: nothing is left
	changes     int       // len(process.changes) when it was verified
}

// directUntil returns when the session or its key expires, whichever is first: until then, it admits every request. It is zero if
// the key is limited to some methods.
func (s *session) directUntil() time.Time {
	until := time.Unix(s.expires, 0)
	switch {
	case s.entry.methods != nil:
		return time.Time{}
	case !s.entry.expiresAt.IsZero() && s.entry.expiresAt.Before(until):
		return s.entry.expiresAt
	}
	return until
}

// process is shared by all handlers of a process, so that sessions survive a reload of the configuration, and a log-out
// counts on every route.
var process = struct {
	secret  []byte // signs cookies where sessionSecretFile is not given
	logouts logouts
	// changes has a token for each change of keys or log-outs, after which every cookie is verified again. Reading its length is
	// the cheapest check for a request; tokens take no memory.
	changes chan struct{}
}{
	secret:  randomBytes(secretSize),
	logouts: logouts{byKey: map[[sha256.Size]byte]*keyLogouts{}},
	changes: make(chan struct{}, 1<<30),
}

// outdateCookies makes every cookie be verified again.
func outdateCookies() {
	select {
	case process.changes <- struct{}{}:
	default:
		<-process.changes // after a billion changes; any other length will do
	}
}

func randomBytes(count int) []byte {
	b := make([]byte, count)
	if _, err := rand.Read(b); err != nil {
		panic("immichaccess: no random numbers: " + err.Error()) // no cookie could be trusted
	}
	return b
}

func newSessions(keys *keyring, f *forwarding, secret []byte, lifetime time.Duration) *sessions {
	if secret == nil {
		secret = process.secret
	}
	return &sessions{keys: keys, forwarding: f, secret: secret, lifetime: lifetime}
}

// browserPath is the path of a request if browsers may log in. A cookie that was verified before costs little more than a key.
func (g *guard) browserPath(fastPath http.HandlerFunc) http.HandlerFunc {
	l := &login{keys: g.keys, forwarding: g.forwarding, lockout: g.lockout, sessions: g.sessions, deny: g.deny}
	serveLogin, authorizeCookie, forward := l.serve, g.authorizeCookie, g.forward
	verified, keyHeader, lockoutActive := g.sessions.verified.entries.Load, g.keys.header, g.lockout.active
	named, setName := g.keys.nameHeader != "", g.keys.setNameHeader
	loginPaths := map[string]bool{loginPath: true, logoutPath: true}
	until, changes := time.Until, process.changes
	if g.basicAuth {
		forward = g.withoutBasic(forward)
	}

	return func(w http.ResponseWriter, r *http.Request) {
		if loginPaths[r.URL.Path] {
			serveLogin(w, r)
			return
		}
		h := r.Header
		cookie := h["Cookie"]
		if len(cookie) == 0 {
			fastPath(w, r)
			return
		}
		known, _ := verified(cookie[0])
		v, ok := known.(*verifiedCookie)
		if !ok || len(cookie) > 1 || h[keyHeader] != nil || len(lockoutActive) != 0 {
			authorizeCookie(w, r, fastPath)
			return
		}
		if v.changes != len(changes) || until(v.directUntil) <= 0 {
			authorizeCookie(w, r, fastPath)
			return
		}
		if named {
			setName(r, v.session.name)
		}
		if v.others == nil {
			delete(h, "Cookie")
		} else {
			h["Cookie"] = v.others
		}
		forward(w, r)
	}
}

// authorizeCookie removes the gateway's cookies from the request. A key takes precedence over them.
func (g *guard) authorizeCookie(w http.ResponseWriter, r *http.Request, fastPath http.HandlerFunc) {
	if cookies := r.Header["Cookie"]; len(cookies) == 1 && !strings.Contains(cookies[0], plainCookie) { // nor secureCookie
		fastPath(w, r)
		return
	}
	s := g.sessions.take(r)
	if s == nil || r.Header[g.keys.header] != nil || g.basicAuth && useBasicUnless(s.entry != nil, r.Header, g.keys.header) {
		fastPath(w, r)
		return
	}
	g.decide(w, r, s)
}

// take removes the gateway's cookies from the request and returns its session: nil without such a cookie, and one without
// an entry if none of them is valid.
func (s *sessions) take(r *http.Request) *session {
	lines := r.Header["Cookie"]
	if v := s.recall(lines); v != nil {
		set(r.Header, "Cookie", strings.Join(v.others, "; "))
		return v.session
	}
	return s.takeUnknown(r, lines)
}

// recall returns the cached result for a Cookie header, nil if there is none, or none that is still valid.
func (s *sessions) recall(lines []string) *verifiedCookie {
	if len(lines) != 1 {
		return nil
	}
	known, ok := s.verified.entries.Load(lines[0])
	if !ok {
		return nil
	}
	v := known.(*verifiedCookie)
	if v.changes != len(process.changes) || time.Until(v.expiresAt) <= 0 {
		return nil
	}
	return v
}

func (s *sessions) takeUnknown(r *http.Request, lines []string) *session {
	if hasTooManyCookies(lines) {
		delete(r.Header, "Cookie") // the gateway's may be among them
		return &session{}
	}
	changes := len(process.changes) // read before keys and log-outs are checked
	others, secure, plain := sortCookies(lines)
	if len(secure)+len(plain) == 0 {
		return nil
	}
	set(r.Header, "Cookie", strings.Join(others, "; "))
	if found := s.firstValid(secure); found != nil {
		if len(lines) == 1 {
			s.verified.add(lines[0], &verifiedCookie{
				session:     found,
				expiresAt:   time.Unix(found.expires, 0),
				directUntil: found.directUntil(),
				others:      r.Header["Cookie"],
				changes:     changes,
			})
		}
		return found
	}
	if !s.forwarding.secure(r) {
		if found := s.firstValid(plain); found != nil {
			return found
		}
	}
	return &session{}
}

func hasTooManyCookies(lines []string) bool {
	if len(lines) == 1 && len(lines[0]) < mostCookies {
		return false
	}
	return strings.Count(strings.Join(lines, ";"), ";") >= mostCookies
}

// sortCookies returns the values of the gateway's cookies, and the other cookies as they came. Only blanks and tabs are
// trimmed: a name that begins with another kind of space has no prefix to browsers, so any host could have set it.
func sortCookies(lines []string) (others, secure, plain []string) {
	for _, line := range lines {
		for _, cookie := range strings.Split(line, ";") {
			cookie = strings.Trim(cookie, " \t")
			name, value, _ := strings.Cut(cookie, "=")
			switch name {
			case secureCookie:
				secure = append(secure, value)
			case plainCookie:
				plain = append(plain, value)
			default:
				others = append(others, cookie)
			}
		}
	}
	return others, secure, plain
}

// firstValid skips invalid cookies, since another host may have set one of the same name.
func (s *sessions) firstValid(values []string) *session {
	for _, value := range atMost(mostSessions, values) {
		if found := s.verify(value); found != nil {
			return found
		}
	}
	return nil
}

func atMost(count int, values []string) []string {
	if len(values) > count {
		return values[:count]
	}
	return values
}

// verify returns nil unless the cookie belongs to a session that has not ended.
func (s *sessions) verify(value string) *session {
	id, rest, _ := strings.Cut(value, ".")
	issued, rest, _ := strings.Cut(rest, ".")
	expires, rest, _ := strings.Cut(rest, ".")
	dot := strings.LastIndexByte(rest, '.')
	if dot < 0 {
		return nil
	}
	name, signature := rest[:dot], rest[dot+1:]
	e := s.keys.byName(name)
	if e == nil || !hmac.Equal([]byte(signature), []byte(s.sign(id, issued, expires, e))) {
		return nil
	}
	since, errSince := strconv.ParseInt(issued, 10, 64)
	until, errUntil := strconv.ParseInt(expires, 10, 64)
	if errSince != nil || errUntil != nil || time.Now().Unix() >= until {
		return nil
	}
	found := &session{id: id, name: name, entry: e, issued: since, expires: until}
	if process.logouts.include(found) {
		return nil
	}
	return found
}

// sign returns the signature of a cookie. It covers the entry's digest, so that a cookie does not outlive its key, not even
// where another key gets the name.
func (s *sessions) sign(id, issued, expires string, e *entry) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte("immichaccess session 2\n" + id + "\n" + issued + "\n" + expires + "\n" + e.name + "\n" + hex.EncodeToString(e.digest[:])))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// begin sets the cookie of a new session.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, e *entry) {
	id := base64.RawURLEncoding.EncodeToString(randomBytes(sessionIDSize))
	now := time.Now()
	issued := strconv.FormatInt(now.UnixNano(), 10)
	expires := strconv.FormatInt(now.Add(s.lifetime).Unix(), 10)
	value := id + "." + issued + "." + expires + "." + e.name + "." + s.sign(id, issued, expires, e)
	secure := s.forwarding.secure(r)
	name := plainCookie
	if secure {
		name = secureCookie
	}
	setCookie(w, name, value, secure, int(s.lifetime/time.Second))
}

// end ends the sessions of the request, at the server and in the browser.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if lines := r.Header["Cookie"]; !hasTooManyCookies(lines) {
		_, secure, plain := sortCookies(lines)
		for _, value := range append(atMost(mostSessions, secure), atMost(mostSessions, plain)...) {
			s.logOut(value)
		}
	}
	s.clear(w, r)
}

func (s *sessions) logOut(value string) {
	if found := s.verify(value); found != nil {
		process.logouts.add(found)
		outdateCookies()
	}
}

// clear deletes the browser's cookies, including one from before HTTPS was set up.
func (s *sessions) clear(w http.ResponseWriter, r *http.Request) {
	setCookie(w, plainCookie, "", false, -1)
	if s.forwarding.secure(r) {
		setCookie(w, secureCookie, "", true, -1)
	}
}

func setCookie(w http.ResponseWriter, name, value string, secure bool, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
