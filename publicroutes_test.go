package immichaccess

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Every line of the table can be parsed, and has the documented form.
func TestPublicRoutesAreReadable(t *testing.T) {
	t.Parallel()
	for name, lines := range publicRoutes {
		for line := range strings.Lines(lines) {
			fields := strings.Fields(line)
			if len(fields) == 0 {
				continue
			}
			if len(fields) > 3 || len(fields) < 2 || !knownMethods[fields[0]] || !strings.HasPrefix(fields[1], "/") || strings.Contains(strings.TrimSuffix(fields[1], "*"), "*") {
				t.Errorf("%s: %q", name, line)
			}
			if len(fields) == 3 && credentials[fields[2]] == nil {
				t.Errorf("%s: %q needs an unknown credential", name, line)
			}
		}
	}
}

// A public upload is limited like any other, and is denied before it is read.
func TestPublicUploadsObeyTheLimit(t *testing.T) {
	t.Parallel()
	immich := &recorder{}
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"shared-links"}, MaxUploadSize: "1k"}, immich)
	for length, want := range map[int64]int{1 << 10: http.StatusOK, 1<<10 + 1: http.StatusRequestEntityTooLarge} {
		r := newRequest(nil)
		r.Method, r.ContentLength, r.URL.Path, r.URL.RawQuery = http.MethodPost, length, "/api/assets", "key=x"
		if got := ask(handler, r).Code; got != want {
			t.Errorf("%d bytes: status %d, want %d", length, got, want)
		}
	}
}

// everyCredential is the headers of a request with every credential that Immich accepts.
var everyCredential = http.Header{
	"X-Immich-User-Token":    {"user"},
	"X-Immich-Session-Token": {"session"},
	"Authorization":          {"Bearer token"},
	"X-Api-Key":              {"api"},
	"X-Immich-Share-Key":     {"link"},
	"X-Immich-Share-Slug":    {"slug"},
	"Cookie":                 {"a=b; immich_access_token=x; immich_shared_link_token=y;\u00a0immich_access_token=z", "immich_access_token=x;IMMICH_ACCESS_TOKEN =x; c"},
	"User-Agent":             {"Immich"},
}

const everyQuery = "key=k&slug=l&sessionKey=s&apiKey=a&%61piKey=a&api%4Bey=a&apiKey[]=a&[apiKey]=a&apiKey%5B0%5D=a&;apiKey=a&apiKey&APIKEY=a&+apiKey=a&%zzapiKey=a&size=1&x=apiKey"

// A request that needs no key for its route reaches Immich with that route's credential and no other.
func TestPublicRoutesPassOneCredential(t *testing.T) {
	t.Parallel()
	const media = "/api/assets/9f2d8d4e-7f3b-4c52-8d0e-0d5c3b1f6a01/thumbnail"
	for name, c := range map[string]struct {
		routes []string
		path   string
		query  string   // that arrives
		keep   []string // of the headers
	}{
		"link":             {[]string{"shared-links"}, media, "key=k&slug=l&size=1&x=apiKey", []string{"X-Immich-Share-Key", "X-Immich-Share-Slug"}},
		"link's page":      {[]string{"shared-links"}, "/share/abc", "key=k&slug=l&size=1&x=apiKey", []string{"X-Immich-Share-Key", "X-Immich-Share-Slug"}},
		"session":          {[]string{"session-media"}, media, "sessionKey=s&size=1&x=apiKey", nil},
		"link and session": {[]string{"session-media", "shared-links"}, media, "key=k&slug=l&size=1&x=apiKey", []string{"X-Immich-Share-Key", "X-Immich-Share-Slug"}},
		"none":             {[]string{"ping"}, "/api/server/ping", "size=1&x=apiKey", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := &recorder{}
			handler := newTestHandler(t, &Config{Keys: []string{rightKey}, PublicRoutes: c.routes}, next)
			r := newRequest(everyCredential)
			r.URL.Path, r.URL.RawQuery = c.path, everyQuery
			r.RequestURI = c.path + "?" + everyQuery
			if got := ask(handler, r).Code; got != http.StatusOK {
				t.Fatalf("status %d", got)
			}
			if got := next.r.URL.RawQuery; got != c.query {
				t.Errorf("the query arrives as %q, want %q", got, c.query)
			}
			if got := next.r.RequestURI; got != c.path+"?"+c.query {
				t.Errorf("the URI arrives as %q", got)
			}
			if got := next.r.Header["Cookie"]; !slices.Equal(got, []string{"a=b; immich_shared_link_token=y; \u00a0; c"}) {
				t.Errorf("the cookies arrive as %q", got)
			}
			for header := range everyCredential {
				want := header == "Cookie" || header == "User-Agent" || slices.Contains(c.keep, header)
				if got := next.r.Header[header]; (got != nil) != want {
					t.Errorf("%s arrives as %q", header, got)
				}
			}
		})
	}
}

// With a key, or from a network that needs none, all credentials are forwarded unchanged.
func TestCredentialsPassWithAKey(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]*Config{
		"key":             {Keys: []string{rightKey}},
		"expiring key":    {Keys: []string{rightKey + " expires=2999-01-01"}},
		"keyless network": {Keys: []string{otherKey}, KeylessNetworks: []string{"192.0.2.0/24"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := &recorder{}
			config.PublicRoutes = []string{"shared-links", "session-media"}
			r := newRequest(everyCredential)
			r.Header.Set("X-Access-Key", rightKey)
			r.URL.Path, r.URL.RawQuery = "/share/abc", everyQuery
			if got := ask(newTestHandler(t, config, next), r).Code; got != http.StatusOK || next.r.URL.RawQuery != everyQuery {
				t.Fatalf("status %d, query %q", got, next.r.URL.RawQuery)
			}
			for header, want := range everyCredential {
				if got := next.r.Header[header]; !slices.Equal(got, want) {
					t.Errorf("%s arrives as %q, want %q", header, got, want)
				}
			}
		})
	}
}

// A blank credential does not count: Immich uses the next one.
func TestBlankCredentialIsNone(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"shared-links", "session-media"}}, &recorder{})
	for _, blank := range []string{"", " ", "\t", " \t ", "\u00a0", "\u3000"} {
		for _, header := range []string{"X-Immich-Share-Key", "X-Immich-Share-Slug"} {
			r := newRequest(http.Header{header: {blank}, "X-Api-Key": {"api"}})
			r.Method, r.URL.Path = http.MethodPost, "/api/search/metadata"
			if got := ask(handler, r).Code; got != http.StatusForbidden {
				t.Errorf("%s: %q: status %d", header, blank, got)
			}
			r.Header[header] = []string{blank, "x"}
			if got := ask(handler, r).Code; got != http.StatusForbidden {
				t.Errorf("%s twice, once %q: status %d", header, blank, got)
			}
		}
	}
	for _, query := range []string{"key=", "key", "key=+", "key=%20", "key=%09&slug=%20", "key=%C2%A0", "key=%E3%80%80", "key=&key=x", "key= x", "key=\u00a0x", "key=x\t", "key=x#"} {
		r := newRequest(http.Header{"X-Api-Key": {"api"}})
		r.Method, r.URL.Path, r.URL.RawQuery = http.MethodPost, "/api/search/metadata", query
		if got := ask(handler, r).Code; got != http.StatusForbidden {
			t.Errorf("%q: status %d", query, got)
		}
	}
}

// A client without a key gets no WebSocket.
func TestPublicRoutesDoNotUpgrade(t *testing.T) {
	t.Parallel()
	immich := &recorder{}
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"ping"}}, immich)
	r := newRequest(http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}})
	r.URL.Path = "/api/server/ping"
	if got := ask(handler, r).Code; got != http.StatusOK || immich.r.Header["Upgrade"] != nil {
		t.Errorf("status %d, Upgrade: %q", got, immich.r.Header["Upgrade"])
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, target := range []string{"/", "/api/server/ping", "//", "/a%2fb", "/a/../b", "/a;b", `/a\b`, "/%00", "/J%C3%BCrgen", "/%25", "*", "/a b"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r := newRequest(nil)
		url, err := r.URL.Parse(target)
		if err != nil {
			return
		}
		r.URL = url
		if !isCanonicalPath(r) {
			return
		}
		for _, segment := range strings.Split(url.EscapedPath(), "/")[1:] {
			decoded, err := r.URL.Parse("/" + segment)
			if err != nil || strings.ContainsAny(decoded.Path[1:], "/\\;%\x00\n\r") || decoded.Path == "/." || decoded.Path == "/.." {
				t.Errorf("%q is taken for canonical", target)
			}
		}
	})
}

// The work for a request without a key is bounded, since anybody can send a megabyte of headers.
func TestPublicRequestsAreBounded(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"ping"}}, &recorder{})
	for name, c := range map[string]struct {
		query   string
		cookies []string
		want    int
	}{
		"parameters":                {strings.Repeat("a=b&", mostParameters), nil, http.StatusOK},
		"too many parameters":       {strings.Repeat("a=b&", mostParameters+1), nil, http.StatusForbidden},
		"too many usual parameters": {strings.Repeat("c=1&", mostParameters+1), nil, http.StatusForbidden},
		"too many with semicolons":  {strings.Repeat("&;", mostParameters/2) + ";", nil, http.StatusForbidden},
		"cookies":                   {"", []string{strings.Repeat("a=b;", mostCookies-1)}, http.StatusOK},
		"too many cookies":          {"", []string{strings.Repeat("a=b;", mostCookies)}, http.StatusForbidden},
		"too many lines of cookies": {"", slices.Repeat([]string{"a=b"}, mostCookies+1), http.StatusForbidden},
	} {
		r := newRequest(http.Header{"Cookie": c.cookies})
		r.URL.Path, r.URL.RawQuery = "/api/server/ping", c.query
		if got := ask(handler, r).Code; got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
	}
}

// Public routes need no key, so a wrong one does not close them. Elsewhere the log says what is wrong. Not parallel, since the log
// is global.
func TestPublicRouteWithKeys(t *testing.T) {
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"oauth"}, LogDenied: true}, &recorder{})
	for reason, keys := range map[string][]string{"no key": nil, "several keys": {rightKey, rightKey}, "wrong key": {otherKey}} {
		r := newRequest(http.Header{"X-Access-Key": keys})
		wantLines(t, logLines(func() { ask(handler, r) }), `reason="`+reason+`"`)
		r.URL.Path = "/api/oauth/mobile-redirect"
		if got := ask(handler, r).Code; got != http.StatusOK {
			t.Errorf("%s: the public route gets %d", reason, got)
		}
	}
}

// Without a key, a query that Immich could parse differently is denied: HTTP/2 and HTTP/3 can carry blanks in a query, and over
// HTTP/1.1 a blank ends it.
func TestPublicQueriesAreUnambiguous(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"ping"}}, &recorder{})
	for query, want := range map[string]int{
		"a=%20b+c&d=~!*'()[]": http.StatusOK,
		"a HTTP/1.0":          http.StatusForbidden,
		"a=\u2028":            http.StatusForbidden,
		"a=\xff":              http.StatusForbidden,
		"a#b":                 http.StatusForbidden,
	} {
		r := newRequest(nil)
		r.URL.Path, r.URL.RawQuery = "/api/server/ping", query
		if got := ask(handler, r).Code; got != want {
			t.Errorf("%q: status %d, want %d", query, got, want)
		}
	}
}
