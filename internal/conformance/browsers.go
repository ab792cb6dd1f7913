package conformance

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

var forBrowsers = Options{"keys": []string{"phone:" + Key, "guest:" + guestKey + " methods=GET", "phrase:sha256:" + phraseDigest, "generated:" + generatedKey, "own:" + ownKey}, "browserLogin": true, "keyNameHeader": "X-Key-Name", "browserSession": "48h", "publicRoutes": "ping", "maxWrongKeys": 100}

const (
	guestKey = "the-key-of-a-guest-who-looks"
	// generatedKey is like those of immichaccess key: base32, which has no case. ownKey has the same alphabet, but is not
	// generated, and has case.
	generatedKey = "54WSS2MTF7L3ZFAARZ6N4UEDNE"
	ownKey       = "CaseMattersInKeysThatYouMakeUp"
	phrase       = "correct horse, battery staple" // which only a digest can stand for
	// phraseDigest is its SHA-256 digest.
	phraseDigest = "5a7d3eb121a0c6078f9dc2b16ffc84bdf6abae60f704834708b3fa9076d9b8b5"
)

var (
	navigation = header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}}
	oldBrowser = header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}
	ownForm    = header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"}}
)

// browsers tests what browsers get. The tests in integration/ use a real one.
func browsers(t *testing.T, proxy Proxy) {
	gateway := proxy.Open(t, forBrowsers)
	for name, test := range map[string]func(browser){
		"requests that get the page": browser.whoGetsThePage,
		"login":                      browser.login,
		"typed keys":                 browser.typedKeys,
		"cookies":                    browser.cookies,
		"open tabs":                  browser.openTabs,
		"tossed cookies":             browser.tossedCookies,
		"forged forms":               browser.forgedForms,
		"targets of a login":         browser.targets,
		"bodies that never arrive":   browser.unread,
		"logout":                     browser.logout,
	} {
		t.Run(name, func(t *testing.T) { test(browser{t, gateway}) })
	}
}

type browser struct {
	t       *testing.T
	gateway Gateway
}

func (b browser) ask(method, uri, body string, headers ...header) (*http.Response, string) {
	b.t.Helper()
	request, err := http.NewRequest(method, b.gateway.scheme()+"://"+b.gateway.Host+uri, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		for name, values := range h {
			request.Header[name] = values
		}
	}
	response, answer := do(b.t, b.gateway.client(b.t, "127.0.0.1"), request)
	return response, string(answer)
}

func (b browser) whoGetsThePage() {
	for _, c := range []struct {
		name, method, uri string
		header            header
		page              bool
	}{
		{"navigation", "GET", "/photos", navigation, true},
		{"old browser", "GET", "/photos", oldBrowser, true},
		{"HEAD", "HEAD", "/photos", navigation, true},
		{"wrong key", "GET", "/photos", plus(navigation, "X-Access-Key", "wrong"), true},
		{"iframe", "GET", "/photos", plus(navigation, "Sec-Fetch-Dest", "iframe"), false},
		{"fetch", "GET", "/photos", plus(navigation, "Sec-Fetch-Mode", "cors"), false},
		{"picture", "GET", "/favicon.ico", header{"Accept": {"image/avif,*/*"}}, false},
		{"app", "GET", "/photos", header{"Accept": {"*/*"}}, false},
		{"API", "GET", "/api/users/me", navigation, false},
		{"API of an old browser", "GET", "/api/users/me", oldBrowser, false},
		{"form", "POST", "/photos", navigation, false},
	} {
		before := b.gateway.Immich.Requests()
		response, body := b.ask(c.method, c.uri, "", c.header)
		isPage := strings.HasPrefix(response.Header.Get("Content-Type"), "text/html")
		if isPage != c.page || response.StatusCode != http.StatusForbidden || b.gateway.Immich.Requests() != before {
			b.t.Errorf("%s: status %d, page %t, %s", c.name, response.StatusCode, isPage, body)
		}
		if c.page {
			b.wantSafePage(response)
		}
	}
}

func (b browser) wantSafePage(response *http.Response) {
	b.t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
	} {
		if got := response.Header.Get(name); got != want {
			b.t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	policy := response.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, want) {
			b.t.Errorf("Content-Security-Policy: %q, want %s in it", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		b.t.Errorf("Content-Security-Policy: %q", policy)
	}
}

// loginForm is what the page sends.
func loginForm(key, to string) string {
	return url.Values{"key": {key}, "to": {to}}.Encode()
}

func (b browser) login() {
	_, body := b.ask("GET", `/photos/1?a="><b>&c`, "", navigation)
	if strings.Contains(body, "><b>") || !strings.Contains(html.UnescapeString(body), `value="/photos/1?a="><b>&c"`) {
		b.t.Errorf("the page does not remember where to go: %s", body)
	}
	response, body := b.ask("POST", "/.immichaccess", loginForm("wrong", "/photos?a=b&c"), ownForm)
	if response.StatusCode != http.StatusForbidden || !strings.Contains(body, `role="alert"`) || !strings.Contains(body, `value="/photos?a=b&amp;c"`) {
		b.t.Errorf("a wrong key: status %d, %s", response.StatusCode, body)
	}
	if strings.Contains(body, "wrong\"") || len(response.Cookies()) > 0 {
		b.t.Errorf("a wrong key: cookies %v, %s", response.Cookies(), body)
	}
	response, body = b.ask("POST", "/.immichaccess", loginForm("", "/photos"), ownForm)
	if response.StatusCode != http.StatusForbidden || strings.Contains(body, `role="alert"`) {
		b.t.Errorf("no key: status %d, %s", response.StatusCode, body)
	}
	for _, key := range []string{Key, " " + Key + "\n", guestKey, phrase} {
		response, _ = b.ask("POST", "/.immichaccess", loginForm(key, "/photos?a=b&c"), ownForm)
		if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/photos?a=b&c" {
			b.t.Errorf("the key %q: status %d, Location %q", key, response.StatusCode, response.Header.Get("Location"))
		}
		b.wantCookie(response, 48*60*60)
	}
}

// typedKeys tests that a generated key may be typed in any case and in groups, but only in the form.
func (b browser) typedKeys() {
	for typed, want := range map[string]int{
		generatedKey:                                http.StatusSeeOther,
		strings.ToLower(generatedKey):               http.StatusSeeOther,
		"54Wss2mtf7l3zfaarz6n4uedne":                http.StatusSeeOther,
		" 54ws s2mt f7l3 zfaa rz6n 4ued ne ":        http.StatusSeeOther, //nolint:gocritic // mapKey: the blanks are what is tested
		"54wss2mt-f7l3zfaa\u2013rz6n4ued\u00a0ne\n": http.StatusSeeOther,
		"54wss2mtf7l3zfaarz6n4uedn":                 http.StatusForbidden,
		"54wss2mtf7l3zfaarz6n4uedne2":               http.StatusForbidden,
		"54wss2mtf7l3zfaarz6n4uedne.":               http.StatusForbidden,
		ownKey:                                      http.StatusSeeOther,
		strings.ToLower(ownKey):                     http.StatusForbidden,
		strings.ToUpper(ownKey):                     http.StatusForbidden,
		strings.ToUpper(Key):                        http.StatusForbidden,
		strings.ReplaceAll(Key, "-", ""):            http.StatusForbidden,
	} {
		response, _ := b.ask("POST", "/.immichaccess", loginForm(typed, "/"), ownForm)
		if response.StatusCode != want {
			b.t.Errorf("%q, typed: status %d, want %d", typed, response.StatusCode, want)
		}
	}
	for key, want := range map[string]int{generatedKey: http.StatusOK, strings.ToLower(generatedKey): http.StatusForbidden, "54WSS2MT-F7L3ZFAA-RZ6N4UED-NE": http.StatusForbidden} {
		response, _ := b.ask("GET", "/photos", "", header{"X-Access-Key": {key}})
		if response.StatusCode != want {
			b.t.Errorf("%q, in the header: status %d, want %d", key, response.StatusCode, want)
		}
	}
}

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

// unread tests requests whose body never arrives: the response does not wait for it.
func (b browser) unread() {
	for request, status := range map[string]int{
		"GET /photos HTTP/1.1\r\nAccept: text/html":                          http.StatusForbidden,
		"GET /.immichaccess HTTP/1.1":                                        http.StatusOK,
		"POST /.immichaccess HTTP/1.1":                                       http.StatusForbidden,
		"POST /.immichaccess/logout HTTP/1.1\r\nSec-Fetch-Site: same-origin": http.StatusSeeOther,
	} {
		conn := b.gateway.dial(b.t)
		if _, err := conn.Write([]byte(request + "\r\nHost: " + b.gateway.Host + "\r\nContent-Length: 1000\r\n\r\n")); err != nil {
			b.t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			b.t.Fatalf("%s: %v", request, err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			b.t.Errorf("%s: status %d, want %d", request, response.StatusCode, status)
		}
	}
}

func (b browser) forgedForms() {
	own := b.gateway.scheme() + "://" + b.gateway.Host
	for name, c := range map[string]struct {
		header header
		status int
	}{
		"own":                 {ownForm, 303},
		"own, without site":   {header{"Origin": {own}}, 303},
		"own, with both":      {plus(ownForm, "Origin", own), 303},
		"nothing said":        {header{}, 403},
		"other site":          {plus(ownForm, "Sec-Fetch-Site", "cross-site"), 403},
		"sibling":             {plus(ownForm, "Sec-Fetch-Site", "same-site"), 403},
		"typed address":       {plus(ownForm, "Sec-Fetch-Site", "none"), 403},
		"other origin":        {header{"Origin": {"https://evil.example"}}, 403},
		"null origin":         {header{"Origin": {"null"}}, 403},
		"other port":          {header{"Origin": {own + ":1"}}, 403},
		"own, without TLS":    {header{"Origin": {"http://" + b.gateway.Host}}, map[bool]int{true: 403, false: 303}[b.gateway.TLS != nil]},
		"origins contradict":  {plus(ownForm, "Origin", "https://evil.example"), 403},
		"forged host":         {header{"Origin": {"https://evil.example"}, "X-Forwarded-Host": {"evil.example"}}, 403},
		"origin is no origin": {header{"Origin": {"://"}}, 403},
	} {
		for _, path := range []string{"/.immichaccess", "/.immichaccess/logout"} {
			response, _ := b.ask("POST", path, loginForm(Key, "/"), c.header)
			if got := response.StatusCode; got != c.status {
				b.t.Errorf("%s, %s: status %d, want %d", path, name, got, c.status)
			}
			if c.status != http.StatusSeeOther && len(response.Cookies()) > 0 {
				b.t.Errorf("%s, %s: cookies %v", path, name, response.Cookies())
			}
		}
	}
	if response, _ := b.ask("PUT", "/.immichaccess", loginForm(Key, "/"), ownForm); response.StatusCode != http.StatusMethodNotAllowed {
		b.t.Errorf("PUT: status %d", response.StatusCode)
	}
	if response, _ := b.ask("POST", "/.immichaccess", loginForm(Key, strings.Repeat("/", 1<<20)), ownForm); response.StatusCode != http.StatusBadRequest {
		b.t.Errorf("1 MB: status %d", response.StatusCode)
	}
	if response, _ := b.ask("POST", "/.immichaccess", loginForm(Key, "/"), ownForm, header{"Content-Type": {"text/plain"}}); response.StatusCode != http.StatusForbidden {
		b.t.Errorf("a form of another type: status %d", response.StatusCode)
	}
}

func (b browser) targets() {
	for to, want := range map[string]string{
		"/photos/1?x=y#z": "/photos/1?x=y#z", "/": "/", "": "/", "photos": "/", "https://evil.example": "/", "//evil.example": "/",
		`/\evil.example`: "/", "/\t/evil.example": "/", "/\r\nSet-Cookie: a=b": "/", "javascript:alert(1)": "/", " /x": "/", "/x y": "/", "/%0a": "/%0a",
	} {
		response, _ := b.ask("POST", "/.immichaccess", loginForm(Key, to), ownForm)
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || got != want {
			b.t.Errorf("%q leads to %q, status %d", to, got, response.StatusCode)
		}
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
