package conformance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// wantCookie expects exactly one cookie, and returns it as the browser sends it back.
func (b browser) wantCookie(response *http.Response, maxAge int) string {
	b.t.Helper()
	cookies := response.Cookies()
	if len(cookies) != 1 {
		b.t.Fatalf("cookies: %v", cookies)
	}
	c, secure := cookies[0], b.gateway.TLS != nil
	name := "immichaccess"
	if secure {
		name = "__Host-immichaccess"
	}
	if c.Name != name || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != maxAge {
		b.t.Errorf("cookie: %s", c)
	}
	return c.Name + "=" + c.Value
}

// wantForgotten expects headers that delete the browser's cookies.
func (b browser) wantForgotten(response *http.Response) {
	b.t.Helper()
	names := []string{"immichaccess"}
	if b.gateway.TLS != nil {
		names = append(names, "__Host-immichaccess")
	}
	for _, c := range response.Cookies() {
		if c.MaxAge >= 0 || c.Value != "" || c.Path != "/" || c.Secure != strings.HasPrefix(c.Name, "__Host-") {
			b.t.Errorf("cookie: %s", c)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == c.Name })
	}
	if len(names) > 0 {
		b.t.Errorf("not forgotten: %v; cookies: %v", names, response.Cookies())
	}
}

// session logs in and returns the cookie.
func (b browser) session(key string) string {
	b.t.Helper()
	response, _ := b.ask("POST", "/.immichaccess", loginForm(key, "/"), ownForm)
	return b.wantCookie(response, 48*60*60)
}

func (b browser) cookies() {
	cookie, guest, phrase := b.session(Key), b.session(guestKey), b.session(phrase)
	name, _, _ := strings.Cut(cookie, "=")
	for _, c := range []struct {
		name, method, uri string
		header            header
		status            int
		arrives, key      string // the cookies, and the name of the key, at Immich
	}{
		{"alone", "GET", "/photos", header{"Cookie": {cookie}}, 200, "", "phone"},
		{"API", "GET", "/api/users/me", header{"Cookie": {cookie}}, 200, "", "phone"},
		{"between others", "GET", "/photos", header{"Cookie": {`a=(1,2); ` + cookie + "; immich_access_token=x%3D="}}, 200, `a=(1,2); immich_access_token=x%3D=`, "phone"},
		{"name that ends in the cookie's", "GET", "/photos", header{"Cookie": {"not" + cookie + "; " + cookie}}, 200, "not" + cookie, "phone"},
		{"key in the header takes precedence", "GET", "/photos", header{"Cookie": {cookie}, "X-Access-Key": {guestKey}}, 200, "", "guest"},
		{"wrong key in the header", "GET", "/photos", header{"Cookie": {cookie}, "X-Access-Key": {"wrong"}}, 403, "", ""},
		{"guest", "GET", "/photos", header{"Cookie": {guest}}, 200, "", "guest"},
		{"phrase", "GET", "/photos", header{"Cookie": {phrase}}, 200, "", "phrase"},
		{"method not allowed", "POST", "/api/albums", header{"Cookie": {guest}}, 403, "", ""},
		{"twice", "GET", "/photos", header{"Cookie": {cookie + "; " + cookie}}, 200, "", "phone"},
		{"after a broken one", "GET", "/photos", header{"Cookie": {name + "=broken; " + cookie}}, 200, "", "phone"},
		{"before a broken one", "GET", "/photos", header{"Cookie": {cookie + "; " + name + "=" + Key}}, 200, "", "phone"},
		{"the key instead of a session", "GET", "/photos", header{"Cookie": {name + "=" + Key}}, 403, "", ""},
		{"the cookie of earlier versions", "GET", "/photos", header{"Cookie": {name + "=" + base64.RawURLEncoding.EncodeToString([]byte(Key))}}, 403, "", ""},
		{"empty", "GET", "/photos", header{"Cookie": {name + "="}}, 403, "", ""},
		{"blank", "GET", "/photos", header{"Cookie": {name + "=..."}}, 403, "", ""},
		{"last character changed", "GET", "/photos", header{"Cookie": {changed(cookie, len(cookie)-1)}}, 403, "", ""},
		{"id changed", "GET", "/photos", header{"Cookie": {changed(cookie, len(name)+1)}}, 403, "", ""},
		{"lifetime changed", "GET", "/photos", header{"Cookie": {changed(cookie, strings.Index(cookie, ".")+1)}}, 403, "", ""},
		{"name changed", "GET", "/photos", header{"Cookie": {strings.Replace(guest, ".guest.", ".phone.", 1)}}, 403, "", ""},
		{"cut", "GET", "/photos", header{"Cookie": {cookie[:len(cookie)-1]}}, 403, "", ""},
		{"longer", "GET", "/photos", header{"Cookie": {cookie + "A"}}, 403, "", ""},
		{"no-break space before the name", "GET", "/photos", header{"Cookie": {"a=b; \u00a0" + cookie}}, 403, "", ""},
		{"other spaces before the name", "GET", "/photos", header{"Cookie": {"a=b;\u0085" + cookie + ";\u2000" + cookie + ";\u3000" + cookie}}, 403, "", ""},
		{"public route", "GET", "/api/server/ping", header{"Cookie": {name + "=x"}}, 200, "", ""},
		{"others only", "GET", "/photos", header{"Cookie": {"a=1; b=2"}, "X-Access-Key": {Key}}, 200, "a=1; b=2", "phone"},
	} {
		response, body := b.ask(c.method, c.uri, "", c.header)
		if response.StatusCode != c.status {
			b.t.Errorf("%s: status %d, want %d: %s", c.name, response.StatusCode, c.status, body)
			continue
		}
		var arrival fakeimmich.Arrival
		if c.status != http.StatusOK || json.Unmarshal([]byte(body), &arrival) != nil || arrival.Headers == nil {
			continue
		}
		if got := strings.Join(arrival.Headers["Cookie"], " | "); got != c.arrives {
			b.t.Errorf("%s: the cookies at Immich: %q, want %q", c.name, got, c.arrives)
		}
		if got := arrival.Headers.Get("X-Key-Name"); got != c.key || arrival.Headers["X-Access-Key"] != nil {
			b.t.Errorf("%s: the key at Immich: %q, want %q; %v", c.name, got, c.key, arrival.Headers["X-Access-Key"])
		}
	}

	if strings.Contains(cookie, Key) || strings.Contains(cookie, base64.RawURLEncoding.EncodeToString([]byte(Key))) {
		b.t.Errorf("the cookie holds the key: %s", cookie)
	}
	response, body := b.ask("GET", "/photos", "", navigation, header{"Cookie": {name + "=d3Jvbmc"}})
	if response.StatusCode != http.StatusForbidden || !strings.Contains(body, "access has ended") {
		b.t.Errorf("a broken cookie: status %d, %s", response.StatusCode, body)
	}
	b.wantForgotten(response)
	b.plantedCookie(strings.TrimPrefix(cookie, name+"="))
}

// changed returns the text with another character at index i.
func changed(text string, at int) string {
	other := "1"
	if text[at] == '1' {
		other = "2"
	}
	return text[:at] + other + text[at+1:]
}

// openTabs tests the errors that Immich's pages show if they were open when the session ended.
func (b browser) openTabs() {
	name := "immichaccess"
	if b.gateway.TLS != nil {
		name = "__Host-" + name
	}
	const ended = "This browser's access has ended. Reload the page."
	fetch := header{"Accept": {"application/json"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}}
	for _, c := range []struct {
		name   string
		header header
		ended  bool
	}{
		{"with an ended session", plus(fetch, "Cookie", name+"=ended"), true},
		{"with an expired cookie", fetch, true},
		{"of an old browser", header{"Cookie": {name + "=ended"}}, true},
		{"of the app", header{}, false},
		{"with a wrong key", plus(fetch, "X-Access-Key", "wrong"), false},
		{"of another site", plus(fetch, "Sec-Fetch-Site", "cross-site"), false},
	} {
		response, body := b.ask("GET", "/api/users/me", "", c.header)
		if response.StatusCode != http.StatusForbidden || strings.Contains(body, ended) != c.ended || !strings.Contains(body, `"statusCode":403`) {
			b.t.Errorf("a fetch %s: status %d, %s", c.name, response.StatusCode, body)
		}
	}
}

// tossedCookies tests that no cookies can lock a browser out.
func (b browser) tossedCookies() {
	cookie := b.session(Key)
	name, _, _ := strings.Cut(cookie, "=")
	for i := range 50 {
		b.ask("GET", "/photos", "", header{"Cookie": {fmt.Sprintf("%s=tossed%d", name, i)}})
	}
	if response, body := b.ask("GET", "/photos", "", header{"Cookie": {cookie}}); response.StatusCode != http.StatusOK {
		b.t.Errorf("after 50 broken cookies: status %d, %s", response.StatusCode, body)
	}
}

// plantedCookie tests a cookie that any host of the domain could have set. On HTTPS it is not accepted and not forwarded.
func (b browser) plantedCookie(value string) {
	status := http.StatusOK
	if b.gateway.TLS != nil {
		status = http.StatusForbidden
	}
	if response, _ := b.ask("GET", "/photos", "", header{"Cookie": {"immichaccess=" + value}}); response.StatusCode != status {
		b.t.Errorf("a planted cookie: status %d, want %d", response.StatusCode, status)
	}
	if b.gateway.TLS == nil {
		return
	}
	response, body := b.ask("GET", "/photos", "", header{"Cookie": {"immichaccess=d3Jvbmc; __Host-immichaccess=" + value}})
	if response.StatusCode != http.StatusOK || strings.Contains(body, "immichaccess=") {
		b.t.Errorf("a planted cookie beside the right one: status %d, %s", response.StatusCode, body)
	}
}

func (b browser) logout() {
	cookie, another := b.session(Key), b.session(Key)
	wantStatus := func(cookie string, want int) {
		b.t.Helper()
		if response, body := b.ask("GET", "/photos", "", header{"Cookie": {cookie}}); response.StatusCode != want {
			b.t.Errorf("status %d, want %d: %s", response.StatusCode, want, body)
		}
	}
	wantStatus(cookie, http.StatusOK)
	wantStatus(another, http.StatusOK)
	response, body := b.ask("GET", "/.immichaccess/logout", "", navigation, header{"Cookie": {cookie}})
	if response.StatusCode != http.StatusOK || !strings.Contains(body, `action="/.immichaccess/logout"`) || len(response.Cookies()) > 0 {
		b.t.Errorf("status %d, %v, %s", response.StatusCode, response.Cookies(), body)
	}
	b.wantSafePage(response)
	response, _ = b.ask("POST", "/.immichaccess/logout", "", ownForm, header{"Cookie": {cookie}})
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/.immichaccess" || response.Header.Get("Clear-Site-Data") != `"cache"` {
		b.t.Errorf("status %d, %v", response.StatusCode, response.Header)
	}
	b.wantForgotten(response)
	wantStatus(cookie, http.StatusForbidden)
	wantStatus(another, http.StatusOK)
	response, body = b.ask("GET", "/.immichaccess", "", navigation)
	if response.StatusCode != http.StatusOK || !strings.Contains(body, `name="key"`) {
		b.t.Errorf("status %d, %s", response.StatusCode, body)
	}
	b.wantSafePage(response)
}
