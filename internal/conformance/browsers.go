package conformance

import (
	"bufio"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
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
