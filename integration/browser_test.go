package integration

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	familyKey = "family-0123456789abcdef0123456789abcdef"
	guestKey  = "guest-+/=fedcba9876543210fedcba98765432"

	keyField  = "input[name=key]"
	askedPage = "/photos?at=00000000-0000-4000-8000-000000000001&q=a%20b"
	thumbnail = "/api/assets/00000000-0000-4000-8000-000000000001/thumbnail?size=thumbnail"
)

// TestBrowser lets people in through the page, in a real browser.
func TestBrowser(t *testing.T) {
	b := startBrowser(t)
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			s := openSite(t, b, way)
			for name, scenario := range map[string]func(*testing.T, site){
				"a page instead of Immich":      deniedScenario,
				"a wrong key":                   wrongKeyScenario,
				"a right key":                   rightKeyScenario,
				"an upload":                     uploadScenario,
				"the cookie":                    cookieScenario,
				"logging out":                   logoutScenario,
				"a link with the key":           linkScenario,
				"a key that is revoked":         revokedScenario,
				"no JavaScript":                 noScriptScenario,
				"a form on another site":        func(t *testing.T, s site) { foreignFormScenario(t, s, strangerHost) },
				"a form on a neighbouring site": func(t *testing.T, s site) { foreignFormScenario(t, s, neighbourHost) },
				"a link on another site":        foreignLinkScenario,
				"a frame":                       frameScenario,
				"a path like another site":      doubleSlashScenario,
				"a shared link":                 sharedLinkScenario,
				"requests of scripts":           scriptScenario,
			} {
				t.Run(name, func(t *testing.T) { scenario(t, s) })
			}
		})
	}
}

// TestBrowserWithoutTLS has no __Host- cookie, and a browser that does not tell where its requests come from. (The standalone
// proxy only redirects on HTTP.)
func TestBrowserWithoutTLS(t *testing.T) {
	s := openSite(t, startBrowser(t), "Traefik")
	b := s.open(t)
	if status := b.visit(s.plain + askedPage); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
	wantLoginPage(b)
	if status := b.typeKey(guestKey); status != http.StatusOK {
		t.Errorf("the key: status %d", status)
	}
	wantImmich(b, s.plain+askedPage)
	cookies := b.cookies()
	if len(cookies) != 1 || cookies[0].Name != "immichaccess" || cookies[0].Secure || !cookies[0].HTTPOnly {
		t.Errorf("the cookies are %v", cookies)
	}
}

// TestBrowserLockedOut types one wrong key after another.
func TestBrowserLockedOut(t *testing.T) {
	chromium := startBrowser(t)
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			s := openSite(t, chromium, way, "maxWrongKeys", "3", "denyStatus", "404")
			b := s.open(t)
			if status := b.visit(s.origin + askedPage); status != http.StatusNotFound {
				t.Errorf("status %d", status)
			}
			for i, want := range []int64{http.StatusNotFound, http.StatusNotFound, http.StatusNotFound, http.StatusTooManyRequests} {
				if status := b.typeKey(fmt.Sprintf("not-the-key-0123456789-%d", i)); status != want {
					t.Errorf("wrong key number %d: status %d, want %d", i+1, status, want)
				}
			}
			if status := b.typeKey(familyKey); status != http.StatusTooManyRequests || len(b.cookies()) != 0 {
				t.Errorf("the right key: status %d, %d cookies", status, len(b.cookies()))
			}
			if message := eval[string](b, "document.querySelector('[role=alert]').innerText"); !strings.Contains(message, "Too many") {
				t.Errorf("the page says %q", message)
			}
		})
	}
}

// wantLoginPage looks at the page as a person does, with the form empty.
func wantLoginPage(b *tab) {
	b.t.Helper()
	if forms := eval[int](b, "document.forms.length"); forms != 1 {
		b.t.Errorf("the page has %d forms", forms)
	}
	if text := eval[string](b, "document.body.innerText"); strings.Contains(text, "Immich") {
		b.t.Errorf("the page says %q", text)
	}
	if value := eval[string](b, "document.querySelector('"+keyField+"').value"); value != "" {
		b.t.Errorf("the field has %q", value)
	}
}

// wantImmich wants the page that was asked for first, at work.
func wantImmich(b *tab, url string) {
	b.t.Helper()
	if got := eval[string](b, "location.href"); got != url {
		b.t.Errorf("the browser is at %s, and not %s", got, url)
	}
	b.await("document.getElementById('socket')?.value === 'WebSocket connected'")
	b.await("document.getElementById('api').value === 'API answers'")
	b.await("document.images.length === 6 && [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
}

func (s site) login(t *testing.T, key string) *tab {
	t.Helper()
	b := s.open(t)
	b.visit(s.origin + askedPage)
	if status := b.typeKey(key); status != http.StatusOK {
		t.Fatalf("the key is answered with %d", status)
	}
	return b
}

func deniedScenario(t *testing.T, s site) {
	b := s.open(t)
	for _, path := range []string{"/", askedPage, "/auth/login"} {
		if status := b.visit(s.origin + path); status != http.StatusForbidden {
			t.Errorf("%s: status %d", path, status)
		}
		wantLoginPage(b)
	}
	if alert := eval[bool](b, "!!document.querySelector('[role=alert]')"); alert {
		t.Error("who has not tried a key is told of a mistake")
	}
	if focused := eval[bool](b, "document.activeElement.name === 'key'"); !focused {
		t.Error("one has to click before one can type")
	}
}

func wrongKeyScenario(t *testing.T, s site) {
	b := s.open(t)
	b.visit(s.origin + askedPage)
	if status := b.typeKey("not-the-key-0123456789"); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
	wantLoginPage(b)
	if message := eval[string](b, "document.querySelector('[role=alert]')?.innerText ?? ''"); message == "" {
		t.Error("there is no message")
	}
	if status := b.visit(s.origin + "/"); status != http.StatusForbidden || len(b.cookies()) != 0 {
		t.Errorf("afterwards: status %d, %d cookies", status, len(b.cookies()))
	}
	b.visit(s.origin + askedPage)
	b.typeKey("not-the-key-0123456789")
	if status := b.typeKey(familyKey); status != http.StatusOK {
		t.Errorf("the right key after a wrong one: status %d", status)
	}
	wantImmich(b, s.origin+askedPage)
}

func rightKeyScenario(t *testing.T, s site) {
	b := s.login(t, guestKey)
	wantImmich(b, s.origin+askedPage)
	if status := b.visit(s.origin + "/albums"); status != http.StatusOK {
		t.Errorf("the next page: status %d", status)
	}
	wantImmich(b, s.origin+"/albums")
}

func uploadScenario(t *testing.T, s site) {
	const size = 20 << 20
	b := s.login(t, familyKey)
	upload := s.uploadFile(t, b, size)
	if want := checksumOf(t, size); !upload.Complete || upload.Size != size || upload.Checksum != want {
		t.Errorf("Immich has %+v, and not %s", upload, want)
	}
	b.await("document.getElementById('upload').value.endsWith('created') || document.getElementById('upload').value.endsWith('duplicate')")
	b.await("document.images.length === 7 && document.images[0].naturalWidth > 0")
}

// uploadFile chooses a file on the page, and returns what Immich has when the upload is over.
func (s site) uploadFile(t *testing.T, b *tab, size int64) fakeimmich.Upload {
	t.Helper()
	name := fmt.Sprintf("VID_%d.mp4", len(s.immich.Uploads()))
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, fakeimmich.Content(size)); err != nil {
		t.Fatal(err)
	}
	run(b, chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{path}))
	ctx, cancel := context.WithTimeout(t.Context(), browserPatience)
	defer cancel()
	upload, err := s.immich.Await(ctx, func(u fakeimmich.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if err != nil {
		t.Fatalf("%v; the page says %s", err, eval[string](b, "document.getElementById('upload').value"))
	}
	return upload
}

func checksumOf(t *testing.T, size int64) string {
	t.Helper()
	hash := sha1.New()
	if _, err := io.Copy(hash, fakeimmich.Content(size)); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func cookieScenario(t *testing.T, s site) {
	b := s.login(t, familyKey)
	cookies := b.cookies()
	if len(cookies) != 1 {
		t.Fatalf("there are %d cookies", len(cookies))
	}
	c := cookies[0]
	if c.Name != "__Host-immichaccess" || !c.HTTPOnly || !c.Secure || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Session {
		t.Errorf("the cookie is %+v", c)
	}
	if days := time.Until(time.Unix(int64(c.Expires), 0)).Hours() / 24; days < 29.9 || days > 30 {
		t.Errorf("it ends in %.2f days", days)
	}
	if seen := eval[string](b, "document.cookie"); seen != "" {
		t.Errorf("scripts see the cookie: %q", seen)
	}
	eval[string](b, "document.cookie = 'immich_is_authenticated=true; Secure'")
	if answer := b.fetch("/api/users/me"); !strings.Contains(answer.Body, `"Cookie":["immich_is_authenticated=true"]`) {
		t.Errorf("of the cookies, Immich sees %s", answer.Body)
	}
	if s.arrivals.mention("immichaccess=", c.Value, familyKey, base64.RawURLEncoding.EncodeToString([]byte(familyKey))) {
		t.Error("the cookie or the key has arrived at Immich")
	}
}

func logoutScenario(t *testing.T, s site) {
	b := s.login(t, familyKey)
	wantImmich(b, s.origin+askedPage)
	if kept := b.fetch(thumbnail); kept.Status != http.StatusOK {
		t.Errorf("the thumbnail: status %d", kept.Status)
	}
	if status := b.visit(s.origin + "/.immichaccess/logout"); status != http.StatusOK {
		t.Errorf("the page to log out: status %d", status)
	}
	if len(b.cookies()) != 1 {
		t.Error("looking at the page is enough to log out")
	}
	b.navigate(chromedp.Click(chromedp.CSS("form > button")))
	wantLoginPage(b)
	if cookies := b.cookies(); len(cookies) != 0 {
		t.Errorf("afterwards there is %s", cookies[0].Name)
	}
	history := run(b, chromedp.NavigationEntries())
	for i := history.CurrentIndex; i > 0; i-- {
		b.goBack(1)
		if text := eval[string](b, "document.body.innerText"); strings.Contains(text, "Immich") {
			t.Errorf("going back to %s shows %q", eval[string](b, "location.href"), text)
		}
	}
	if status := b.visit(s.origin + askedPage); status != http.StatusForbidden {
		t.Errorf("afterwards: status %d", status)
	}
	wantLoginPage(b)
	b.visit(s.origin + "/share/abc") // a page whose scripts may ask for what the browser has kept
	wantJSONRefusal(t, b.fetch(thumbnail))
}

func linkScenario(t *testing.T, s site) {
	b := s.open(t)
	if status := b.visit(s.origin + "/.immichaccess#" + guestKey); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	b.await("document.querySelector('" + keyField + "').value === '" + guestKey + "'")
	if address := eval[string](b, "location.href"); address != s.origin+"/.immichaccess" {
		t.Errorf("the address is %s", address)
	}
	for _, entry := range run(b, chromedp.NavigationEntries()).Entries {
		if strings.Contains(entry.URL, guestKey) {
			t.Errorf("the history has %s", entry.URL)
		}
	}
	if status := b.navigate(chromedp.Click(chromedp.CSS("form > button"))); status != http.StatusOK {
		t.Errorf("the key of the link: status %d", status)
	}
	wantImmich(b, s.origin+"/")
}

func revokedScenario(t *testing.T, s site) {
	b := s.login(t, guestKey)
	wantImmich(b, s.origin+askedPage)
	writeKeys(t, s.keysFile, "family:"+familyKey)
	t.Cleanup(func() {
		writeKeys(t, s.keysFile, "family:"+familyKey+"\nguest:"+guestKey)
		within5s(t, "the guest is back", func() bool { return s.status(guestKey) == http.StatusOK })
	})
	within5s(t, "the key is revoked", func() bool { return b.fetch("/api/users/me").Status == http.StatusForbidden })
	wantJSONRefusal(t, b.fetch("/api/users/me"))
	if status := b.visit(s.origin + askedPage); status != http.StatusForbidden {
		t.Errorf("the next page: status %d", status)
	}
	wantLoginPage(b)
	if status := b.typeKey(familyKey); status != http.StatusOK {
		t.Errorf("another key: status %d", status)
	}
	wantImmich(b, s.origin+askedPage)
}

func wantJSONRefusal(t *testing.T, answer fetched) {
	t.Helper()
	if answer.Status != http.StatusForbidden || !strings.HasPrefix(answer.Type, "application/json") || !strings.Contains(answer.Body, `"statusCode":403`) {
		t.Errorf("a script gets %d, %s, %.200q", answer.Status, answer.Type, answer.Body)
	}
}

func noScriptScenario(t *testing.T, s site) {
	b := s.open(t)
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	if err != nil {
		t.Fatal(err)
	}
	b.visit(s.origin + askedPage)
	if status := b.typeKey("not-the-key-0123456789"); status != http.StatusForbidden {
		t.Errorf("a wrong key: status %d", status)
	}
	if status := b.typeKey(familyKey); status != http.StatusOK {
		t.Errorf("the key: status %d", status)
	}
	if address := run(b, chromedp.Location()); address != s.origin+askedPage {
		t.Errorf("the browser is at %s", address)
	}
	b.visit(s.origin + "/.immichaccess/logout")
	b.navigate(chromedp.Click(chromedp.CSS("form > button")))
	if cookies := b.cookies(); len(cookies) != 0 {
		t.Errorf("after logging out there is %s", cookies[0].Name)
	}
}

// serveElsewhere runs a site of somebody else, whose only page has this body.
func serveElsewhere(t *testing.T, s site, host, body string) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>Elsewhere</title>%s", body)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{s.browser.pair(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return fmt.Sprintf("https://%s:%d/", host, portOf(t, server.Listener.Addr().String()))
}

// A form elsewhere must not let its visitors in with a key that somebody else knows, nor log them out.
func foreignFormScenario(t *testing.T, s site, host string) {
	form := func(path string) string {
		return fmt.Sprintf(`<form method="post" action="%s%s"><input name="key" value="%s"><input name="to" value="/photos"><button>Win</button></form>`,
			s.origin, path, html.EscapeString(familyKey))
	}
	b := s.browser.open(t)
	b.visit(serveElsewhere(t, s, host, form("/.immichaccess")))
	if status := b.navigate(chromedp.Click(chromedp.CSS("form > button"))); status < 400 {
		t.Errorf("logging in: status %d", status)
	}
	if cookies := b.cookies(); len(cookies) != 0 {
		t.Errorf("there is %s", cookies[0].Name)
	}
	b = s.login(t, familyKey)
	other := b.beside()
	other.visit(serveElsewhere(t, s, host, form("/.immichaccess/logout")))
	if status := other.navigate(chromedp.Click(chromedp.CSS("form > button"))); status < 400 {
		t.Errorf("logging out: status %d", status)
	}
	if len(b.cookies()) != 1 {
		t.Error("the identity is logged out")
	}
}

// Who is let in stays so when a link elsewhere, as in a mail, leads to the site.
func foreignLinkScenario(t *testing.T, s site) {
	b := s.login(t, familyKey).beside()
	b.visit(serveElsewhere(t, s, strangerHost, fmt.Sprintf(`<a href="%s%s">Look</a>`, s.origin, askedPage)))
	if status := b.navigate(chromedp.Click(chromedp.CSS("a"))); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	wantImmich(b, s.origin+askedPage)
}

// Wherever the page is shown, the right key never leads away from the site.
func doubleSlashScenario(t *testing.T, s site) {
	b := s.open(t)
	for _, path := range []string{"//" + strangerHost, "//" + strangerHost + "/..", `/\` + "`" + `x`, "/%5c%5c" + strangerHost, "/%09/" + strangerHost, "/.//" + strangerHost} {
		if _, err := chromedp.Call(b.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
		b.visit(s.origin + path)
		b.typeKey(familyKey)
		if address := eval[string](b, "location.origin"); address != s.origin {
			t.Errorf("%s: the browser is at %s", path, address)
		}
	}
}

func frameScenario(t *testing.T, s site) {
	for _, path := range []string{"/.immichaccess", "/.immichaccess/logout"} {
		b := s.browser.open(t)
		b.visit(serveElsewhere(t, s, strangerHost, fmt.Sprintf(`<iframe src="%s%s"></iframe>`, s.origin, path)))
		b.complains("Framing '" + s.origin)
	}
}

func sharedLinkScenario(t *testing.T, s site) {
	b := s.open(t)
	for _, path := range []string{"/share/abc", "/s/holidays"} {
		if status := b.visit(s.origin + path); status != http.StatusOK {
			t.Fatalf("%s: status %d", path, status)
		}
		b.await("document.getElementById('api').value === 'API answers'")
		b.await("document.images.length === 6 && [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
		if upload := s.uploadFile(t, b, 1<<20); !upload.Complete {
			t.Errorf("%s: Immich has %+v", path, upload)
		}
		wantJSONRefusal(t, b.fetch("/api/users/me"))
		wantJSONRefusal(t, b.fetch("/api/albums?key=abc"))
	}
	if status := b.visit(s.origin + "/photos"); status != http.StatusForbidden {
		t.Errorf("/photos: status %d", status)
	}
	wantLoginPage(b)
}

func scriptScenario(t *testing.T, s site) {
	b := s.open(t)
	b.visit(s.origin + "/share/abc")
	for _, path := range []string{"/api/users/me", "/api/assets", "/photos", "/"} {
		wantJSONRefusal(t, b.fetch(path))
	}
}
