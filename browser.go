package immichaccess

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	loginPath  = "/.immichaccess"
	logoutPath = loginPath + "/logout"

	defaultBrowserSession = "720h"

	mostForm = 16 << 10 // bytes of a filled-in form
)

// browser lets people in whose browser can't send a header. They type the key into a page, and get it back as a cookie;
// here each cookie becomes the key header, so that behind the door there is one kind of key only: a key that is revoked or
// expires ends its sessions, and Immich never sees the cookie.
type browser struct {
	door       http.Handler
	keys       *keyring
	forwarding *forwarding
	lockout    *lockout
	deny       *denials
	session    time.Duration
}

// newBrowser returns nil unless it was asked for, and there is something to ask browsers for.
func newBrowser(config *Config, a *access, errs *problems) *browser {
	session := parseDuration("browserSession", orDefault(config.BrowserSession, defaultBrowserSession), errs)
	if !config.BrowserLogin || !a.keys.required {
		return nil
	}
	b := &browser{keys: a.keys, forwarding: a.forwarding, lockout: a.lockout, deny: a.deny, session: session}
	a.deny.page = b.showDenial
	return b
}

func (b *browser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header["Cookie"] != nil {
		b.useCookie(r)
	}
	switch r.URL.Path {
	case loginPath:
		b.serveForm(w, r, b.showLogin, b.login)
	case logoutPath:
		b.serveForm(w, r, b.showLogout, b.logout)
	default:
		b.door.ServeHTTP(w, r)
	}
}

// serveForm shows a form, or takes in what it sends.
func (b *browser) serveForm(w http.ResponseWriter, r *http.Request, show, take func(http.ResponseWriter, *http.Request)) {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		show(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, HEAD, POST")
		writeError(w, r, http.StatusMethodNotAllowed, "This page takes GET and POST")
	case !b.isOwnForm(r):
		b.refuseForm(w, r)
	default:
		take(w, r)
	}
}

// isOwnForm wants to hear from the browser that its own page sends the form: every browser of today tells.
func (b *browser) isOwnForm(r *http.Request) bool {
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if site == "" && origin == "" || site != "" && site != "same-origin" {
		return false
	}
	if origin == "" {
		return true
	}
	from, err := url.Parse(origin)
	return err == nil && from.Host != "" && strings.EqualFold(withoutPort(from.Host), withoutPort(b.host(r)))
}

// withoutPort leaves out the default ports, which stand in some Host headers and in no Origin of theirs.
func withoutPort(host string) string {
	for _, port := range []string{":443", ":80"} {
		host = strings.TrimSuffix(host, port)
	}
	return host
}

func (b *browser) refuseForm(w http.ResponseWriter, r *http.Request) {
	b.deny.logKey(r, &denial{reason: "a form of another site"})
	content := loginPage("", "/")
	if r.URL.Path == logoutPath {
		content = logoutPage()
	}
	content["Message"] = "That did not come from this page. Please do it here."
	writePage(w, r, http.StatusForbidden, content)
}

// host is the one that the browser has asked for.
func (b *browser) host(r *http.Request) string {
	return orDefault(b.forwarding.claims(r).host, r.Host)
}

func (b *browser) showLogin(w http.ResponseWriter, r *http.Request) {
	writePage(w, r, http.StatusOK, loginPage("", "/"))
}

// showDenial takes the place of the error for a browser. What it sends and does not open comes from cookies.
func (b *browser) showDenial(w http.ResponseWriter, r *http.Request, status int, denied *denial) {
	if denied.wait == 0 && r.Header[b.keys.header] != nil {
		b.forget(w, r)
	}
	message := explain(denied)
	if denied.wrong {
		message = "Your access key is no longer valid."
	}
	writePage(w, r, status, loginPage(message, r.URL.RequestURI()))
}

func (b *browser) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		writeError(w, r, http.StatusBadRequest, "The form can't be read")
		return
	}
	to := localPath(r.PostForm.Get("to"))
	key := strings.TrimSpace(r.PostForm.Get("key"))
	if denied := b.try(r, key); denied != nil {
		b.deny.logKey(r, denied)
		writePage(w, r, b.deny.announce(w, denied), loginPage(explain(denied), to))
		return
	}
	b.keep(w, r, key)
	redirect(w, r, to)
}

// try looks at a key that was typed, as for the GET request that follows.
func (b *browser) try(r *http.Request, key string) *denial {
	var typed []string
	if key != "" {
		typed = []string{key}
	}
	_, denied := b.keys.judge(typed, http.MethodGet)
	return b.lockout.review(b.forwarding.client(r), denied)
}

// explain says to a person what was wrong with a key.
func explain(denied *denial) string {
	switch {
	case denied.wait > 0:
		return "Too many wrong keys. Try again in " + inMinutes(denied.wait) + "."
	case denied.wrong:
		return "Wrong key. Check it, and try again."
	case denied.reason == expiredKey:
		return "This key has expired."
	case denied.key != "":
		return "This key does not allow that."
	}
	return ""
}

func inMinutes(d time.Duration) string {
	if d <= time.Minute {
		return "a minute"
	}
	return fmt.Sprintf("%.0f minutes", math.Ceil(d.Minutes()))
}

func (b *browser) showLogout(w http.ResponseWriter, r *http.Request) {
	writePage(w, r, http.StatusOK, logoutPage())
}

func (b *browser) logout(w http.ResponseWriter, r *http.Request) {
	b.forget(w, r)
	w.Header().Set("Clear-Site-Data", `"cache"`) // so that going back shows no photos
	redirect(w, r, loginPath)
}

// redirect answers a form. It is never the answer to a request of Immich's apps.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Location", to)
	writeAnswer(w, r, http.StatusSeeOther, "text/html; charset=utf-8", nil)
}

// localPath returns what was asked for if it is a path on this host, however a browser may read it, and else "/".
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
