package browser

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/integration/harness"
)

func deniedScenario(t *testing.T, s site) {
	b := s.open(t)
	for _, path := range []string{"/", firstPage, "/auth/login"} {
		if status := b.visit(s.origin + path); status != http.StatusForbidden {
			t.Errorf("%s: status %d", path, status)
		}
		wantLoginPage(b)
	}
	if alert := eval[bool](b, "!!document.querySelector('[role=alert]')"); alert {
		t.Error("the page shows an error before any key was submitted")
	}
	if focused := eval[bool](b, "document.activeElement.name === 'key'"); !focused {
		t.Error("the field does not have the focus")
	}
}

func wrongKeyScenario(t *testing.T, s site) {
	b := s.open(t)
	b.visit(s.origin + firstPage)
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
	b.visit(s.origin + firstPage)
	b.typeKey("not-the-key-0123456789")
	if status := b.typeKey(familyKey); status != http.StatusOK {
		t.Errorf("the right key after a wrong one: status %d", status)
	}
	wantImmich(b, s.origin+firstPage)
}

func rightKeyScenario(t *testing.T, s site) {
	b := s.login(t, guestKey)
	wantImmich(b, s.origin+firstPage)
	if status := b.visit(s.origin + "/albums"); status != http.StatusOK {
		t.Errorf("the next page: status %d", status)
	}
	wantImmich(b, s.origin+"/albums")
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
	if visible := eval[string](b, "document.cookie"); visible != "" {
		t.Errorf("scripts see the cookie: %q", visible)
	}
	eval[string](b, "document.cookie = 'immich_is_authenticated=true; Secure'")
	if answer := b.fetch("/api/users/me"); !strings.Contains(answer.Body, `"Cookie":["immich_is_authenticated=true"]`) {
		t.Errorf("of the cookies, Immich sees %s", answer.Body)
	}
	if s.received.contain("immichaccess=", c.Value, familyKey, base64.RawURLEncoding.EncodeToString([]byte(familyKey))) {
		t.Error("the cookie or the key has arrived at Immich")
	}
}

func logoutScenario(t *testing.T, s site) {
	b := s.login(t, familyKey)
	wantImmich(b, s.origin+firstPage)
	if cached := b.fetch(thumbnail); cached.Status != http.StatusOK {
		t.Errorf("the thumbnail: status %d", cached.Status)
	}
	if status := b.visit(s.origin + "/.immichaccess/logout"); status != http.StatusOK {
		t.Errorf("the page to log out: status %d", status)
	}
	if len(b.cookies()) != 1 {
		t.Error("opening the page is enough to log out")
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
	if status := b.visit(s.origin + firstPage); status != http.StatusForbidden {
		t.Errorf("afterwards: status %d", status)
	}
	wantLoginPage(b)
	b.visit(s.origin + "/share/abc") // a page whose scripts may request what the browser has cached
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
	wantImmich(b, s.origin+firstPage)
	s.writeKeys(t, "family:"+familyKey)
	t.Cleanup(func() {
		s.writeKeys(t, "family:"+familyKey+"\nguest:"+guestKey)
		harness.AwaitWithin(t, keysFileDelay, "the key to be accepted again", func() bool { return s.status(guestKey) == http.StatusOK })
	})
	harness.AwaitWithin(t, keysFileDelay, "the key to be revoked", func() bool { return b.fetch("/api/users/me").Status == http.StatusForbidden })
	wantJSONRefusal(t, b.fetch("/api/users/me"))
	if status := b.visit(s.origin + firstPage); status != http.StatusForbidden {
		t.Errorf("the next page: status %d", status)
	}
	wantLoginPage(b)
	if status := b.typeKey(familyKey); status != http.StatusOK {
		t.Errorf("another key: status %d", status)
	}
	wantImmich(b, s.origin+firstPage)
}

func noScriptScenario(t *testing.T, s site) {
	b := s.open(t)
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	if err != nil {
		t.Fatal(err)
	}
	b.visit(s.origin + firstPage)
	if status := b.typeKey("not-the-key-0123456789"); status != http.StatusForbidden {
		t.Errorf("a wrong key: status %d", status)
	}
	if status := b.typeKey(familyKey); status != http.StatusOK {
		t.Errorf("the key: status %d", status)
	}
	if address := run(b, chromedp.Location()); address != s.origin+firstPage {
		t.Errorf("the browser is at %s", address)
	}
	b.visit(s.origin + "/.immichaccess/logout")
	b.navigate(chromedp.Click(chromedp.CSS("form > button")))
	if cookies := b.cookies(); len(cookies) != 0 {
		t.Errorf("after logging out there is %s", cookies[0].Name)
	}
}
