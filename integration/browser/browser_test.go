package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestBrowser logs people in with the form on the login page.
func TestBrowser(t *testing.T) {
	b := startBrowser(t)
	for name := range gateways {
		t.Run(name, func(t *testing.T) {
			s := openSite(t, b, name)
			for name, scenario := range map[string]func(*testing.T, site){
				"a page instead of Immich": deniedScenario,
				"a wrong key":              wrongKeyScenario,
				"a right key":              rightKeyScenario,
				"an upload":                uploadScenario,
				"the cookie":               cookieScenario,
				"logging out":              logoutScenario,
				"a link with the key":      linkScenario,
				"a key that is revoked":    revokedScenario,
				"no JavaScript":            noScriptScenario,
				"a form on another site":   func(t *testing.T, s site) { crossSiteFormScenario(t, s, otherSiteHost) },
				"a form on another origin": func(t *testing.T, s site) { crossSiteFormScenario(t, s, sameSiteHost) },
				"a link on another site":   crossSiteLinkScenario,
				"a frame":                  frameScenario,
				"a path like another site": doubleSlashScenario,
				"a shared link":            sharedLinkScenario,
				"requests of scripts":      scriptScenario,
			} {
				t.Run(name, func(t *testing.T) { scenario(t, s) })
			}
		})
	}
}

// TestBrowserWithoutTLS has no __Host- cookie, and a browser that does not send Sec-Fetch-Site. (The standalone proxy only
// redirects on HTTP.)
func TestBrowserWithoutTLS(t *testing.T) {
	s := openSite(t, startBrowser(t), "Traefik")
	b := s.open(t)
	if status := b.visit(s.plain + firstPage); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
	wantLoginPage(b)
	if status := b.typeKey(guestKey); status != http.StatusOK {
		t.Errorf("the key: status %d", status)
	}
	wantImmich(b, s.plain+firstPage)
	cookies := b.cookies()
	if len(cookies) != 1 || cookies[0].Name != "immichaccess" || cookies[0].Secure || !cookies[0].HTTPOnly {
		t.Errorf("the cookies are %v", cookies)
	}
}

// TestBrowserLockedOut submits one wrong key after another.
func TestBrowserLockedOut(t *testing.T) {
	chromium := startBrowser(t)
	for name := range gateways {
		t.Run(name, func(t *testing.T) {
			s := openSite(t, chromium, name, "maxWrongKeys", "3", "denyStatus", "404")
			b := s.open(t)
			if status := b.visit(s.origin + firstPage); status != http.StatusNotFound {
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
