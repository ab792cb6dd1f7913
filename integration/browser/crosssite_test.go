package browser

import (
	"crypto/tls"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/integration/harness"
)

// serveOtherSite runs a site that is not part of Immich, whose only page has this body.
func serveOtherSite(t *testing.T, s site, host, body string) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>Elsewhere</title>%s", body)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{s.browser.pair(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return fmt.Sprintf("https://%s:%d/", host, harness.Port(t, server.Listener.Addr().String()))
}

// A form on another site must neither log users in, with somebody else's key, nor log them out.
func crossSiteFormScenario(t *testing.T, s site, host string) {
	form := func(path string) string {
		return fmt.Sprintf(`<form method="post" action="%s%s"><input name="key" value="%s"><input name="to" value="/photos"><button>Win</button></form>`,
			s.origin, path, html.EscapeString(familyKey))
	}
	b := s.browser.open(t)
	b.visit(serveOtherSite(t, s, host, form("/.immichaccess")))
	if status := b.navigate(chromedp.Click(chromedp.CSS("form > button"))); status < 400 {
		t.Errorf("logging in: status %d", status)
	}
	if cookies := b.cookies(); len(cookies) != 0 {
		t.Errorf("there is %s", cookies[0].Name)
	}
	b = s.login(t, familyKey)
	other := b.newTab()
	other.visit(serveOtherSite(t, s, host, form("/.immichaccess/logout")))
	if status := other.navigate(chromedp.Click(chromedp.CSS("form > button"))); status < 400 {
		t.Errorf("logging out: status %d", status)
	}
	if len(b.cookies()) != 1 {
		t.Error("the user is logged out")
	}
}

// Users stay logged in when they follow a link from another site, such as one in a mail.
func crossSiteLinkScenario(t *testing.T, s site) {
	b := s.login(t, familyKey).newTab()
	b.visit(serveOtherSite(t, s, otherSiteHost, fmt.Sprintf(`<a href="%s%s">Look</a>`, s.origin, firstPage)))
	if status := b.navigate(chromedp.Click(chromedp.CSS("a"))); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	wantImmich(b, s.origin+firstPage)
}

// Wherever the login page is shown, the right key never leads to another site.
func doubleSlashScenario(t *testing.T, s site) {
	b := s.open(t)
	for _, path := range []string{"//" + otherSiteHost, "//" + otherSiteHost + "/..", `/\` + "`" + `x`, "/%5c%5c" + otherSiteHost, "/%09/" + otherSiteHost, "/.//" + otherSiteHost} {
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
		b.visit(serveOtherSite(t, s, otherSiteHost, fmt.Sprintf(`<iframe src="%s%s"></iframe>`, s.origin, path)))
		b.awaitConsole("Framing '" + s.origin)
	}
}
