package immichaccess

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

const (
	loginPath  = "/.immichaccess"
	logoutPath = loginPath + "/logout"

	mostForm = 16 << 10 // bytes of a filled-in form
)

// login serves people whose browser can't send a header: they type the key into a page, and get a session.
type login struct {
	keys       *keyring
	forwarding *forwarding
	lockout    *lockout
	sessions   *sessions
	deny       *denyResponder
}

// serve answers the login page and the log-out page.
func (l *login) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == logoutPath {
		l.serveForm(w, r, l.showLogout, l.logOut)
		return
	}
	l.serveForm(w, r, l.showLogin, l.logIn)
}

// serveForm shows a form, or processes it.
func (l *login) serveForm(w http.ResponseWriter, r *http.Request, show, take func(http.ResponseWriter, *http.Request)) {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		show(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, HEAD, POST")
		writeError(w, r, http.StatusMethodNotAllowed, "This page takes GET and POST")
	case !l.isOwnForm(r):
		l.refuseForm(w, r)
	default:
		take(w, r)
	}
}

// isOwnForm reports whether the form was sent from the gateway's own page, according to Sec-Fetch-Site or Origin, one of which
// every current browser sends (https://owasp.org/www-community/attacks/csrf).
func (l *login) isOwnForm(r *http.Request) bool {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if site == "" && origin == "" || site != "" && site != "same-origin" {
		return false
	}
	if origin == "" {
		return true
	}
	from, err := url.Parse(origin)
	if err != nil || from.Host == "" || from.Scheme != "https" && l.forwarding.secure(r) {
		return false
	}
	return strings.EqualFold(withoutPort(from.Host), withoutPort(l.host(r)))
}

// withoutPort removes the default ports, which some Host headers have but no Origin has.
func withoutPort(host string) string {
	for _, port := range []string{":443", ":80"} {
		host = strings.TrimSuffix(host, port)
	}
	return host
}

func (l *login) refuseForm(w http.ResponseWriter, r *http.Request) {
	l.deny.logKey(r, &denial{reason: "form of another site"})
	content := loginPage(l.keys.header, "", "/")
	if r.URL.Path == logoutPath {
		content = logoutPage()
	}
	content["Message"] = "That form was not sent from this page. Please use this one."
	writePage(w, r, http.StatusForbidden, content)
}

// host returns the host that the browser requested.
func (l *login) host(r *http.Request) string {
	if c := l.forwarding.claimsOf(r); c != nil && c.host != "" {
		return c.host
	}
	return r.Host
}

func (l *login) showLogin(w http.ResponseWriter, r *http.Request) {
	writePage(w, r, http.StatusOK, loginPage(l.keys.header, "", "/"))
}

func (l *login) logIn(w http.ResponseWriter, r *http.Request) {
	r = withBody(r, http.MaxBytesReader(w, r.Body, mostForm))
	if err := r.ParseForm(); err != nil {
		writeError(w, r, http.StatusBadRequest, "The form can't be read")
		return
	}
	to := localPath(r.PostForm.Get("to"))
	e, denied := l.checkTypedKey(r, r.PostForm.Get("key"))
	if denied != nil {
		l.deny.logKey(r, denied)
		writePage(w, r, l.deny.statusAndHeaders(w, r, denied), loginPage(l.keys.header, explain(denied), to))
		return
	}
	l.sessions.begin(w, r, e)
	redirect(w, r, to)
}

// checkTypedKey checks a key as for the GET request that follows.
func (l *login) checkTypedKey(r *http.Request, key string) (*entry, *denial) {
	e, denied := l.lookupTyped(strings.TrimSpace(key))
	if denied == nil {
		denied = forbids(e, &http.Request{Method: http.MethodGet})
	}
	return e, l.lockout.review(l.forwarding.client(r), denied)
}

// lookupTyped returns the entry of a key as it was typed or, failing that, of the generated key that it may stand for. If both
// are wrong, the first is counted. If the second were, all spellings of a key that was not generated would count as one.
func (l *login) lookupTyped(key string) (*entry, *denial) {
	if key == "" {
		return l.keys.lookup(nil)
	}
	e, denied := l.keys.lookup([]string{key})
	if denied == nil {
		return e, nil
	}
	if generated := asGenerated(key); generated != "" {
		if e, wrong := l.keys.lookup([]string{generated}); wrong == nil {
			return e, nil
		}
	}
	return nil, denied
}

const (
	generatedLength = 26 // characters of a key that immichaccess key makes, for 128 bits
	base32Alphabet  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// asGenerated returns the generated key that the user may have meant by typing it in lower case or in groups: base32 has no
// case, blanks or dashes. It returns "" for what can't be one.
func asGenerated(typed string) string {
	key := strings.ToUpper(strings.Map(dropSeparator, typed))
	if len(key) < generatedLength || strings.Trim(key, base32Alphabet) != "" {
		return ""
	}
	return key
}

func dropSeparator(c rune) rune {
	if unicode.IsSpace(c) || unicode.Is(unicode.Dash, c) {
		return -1
	}
	return c
}

func (l *login) showLogout(w http.ResponseWriter, r *http.Request) {
	writePage(w, r, http.StatusOK, logoutPage())
}

func (l *login) logOut(w http.ResponseWriter, r *http.Request) {
	l.sessions.end(w, r)
	w.Header().Set("Clear-Site-Data", `"cache"`) // so that going back shows no photos
	redirect(w, r, loginPath)
}

// redirect responds to a form, never to a request of Immich's apps, which fail on a relative Location.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Location", to)
	writeAnswer(w, r, http.StatusSeeOther, "text/html; charset=utf-8", nil)
}

// localPath returns the target if every browser takes it for a path on this host, else "/".
func localPath(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\x7f") {
		return "/"
	}
	for i := 0; i < len(to); i++ {
		if to[i] <= ' ' {
			return "/"
		}
	}
	return to
}
