package immichaccess

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// typeKey sends the form of the login page.
func typeKey(handler http.Handler, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://photos.example.com"+loginPath, strings.NewReader(url.Values{"key": {key}}.Encode()))
	r.RemoteAddr = "192.0.2.1:1234"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return ask(handler, r)
}

// logIn types the key into the login page of a handler and returns the cookie, as the browser sends it back.
func logIn(t *testing.T, handler http.Handler, key string) string {
	t.Helper()
	w := typeKey(handler, key)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("logging in with %s: status %d, cookies %v", key, w.Code, cookies)
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

func logOut(handler http.Handler, cookie string) {
	r := newRequest(http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"same-origin"}})
	r.Method, r.URL.Path = http.MethodPost, logoutPath
	ask(handler, r)
}

func wantSession(t *testing.T, handler http.Handler, cookie string, want bool) {
	t.Helper()
	status := http.StatusForbidden
	if want {
		status = http.StatusOK
	}
	if got := ask(handler, newRequest(http.Header{"Cookie": {cookie}})).Code; got != status {
		t.Errorf("the session gets %d, want %d", got, status)
	}
}

func withLogin(keys ...string) *Config {
	return &Config{Keys: keys, BrowserLogin: true}
}

// It is not parallel, since log-outs in other tests make this process verify each cookie again.
func TestSessionEndsAfterItsLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := withLogin("phone:" + rightKey)
		config.BrowserSession = "1h"
		handler := newTestHandler(t, config, &recorder{})
		used, unused := logIn(t, handler, rightKey), logIn(t, handler, rightKey)
		wantSession(t, handler, used, true)
		time.Sleep(time.Hour - time.Second)
		wantSession(t, handler, used, true)
		time.Sleep(time.Second)
		wantSession(t, handler, used, false)
		wantSession(t, handler, unused, false)
	})
}

// Not parallel, as above.
func TestSessionEndsWithItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock starts at midnight, 1 January 2000
		config := withLogin("phone:" + rightKey + " expires=2000-01-02")
		config.LogDenied = true
		handler := newTestHandler(t, config, &recorder{})
		cookie := logIn(t, handler, rightKey)
		wantSession(t, handler, cookie, true)
		time.Sleep(48*time.Hour - time.Nanosecond)
		wantSession(t, handler, cookie, true)
		time.Sleep(time.Nanosecond)
		for range 2 {
			wantLines(t, logLines(func() { wantSession(t, handler, cookie, false) }), `reason="expired key" key=phone`)
		}
	})
}

// A session is limited to the methods of its key, also once its cookie was verified. Not parallel, as above.
func TestSessionHasTheMethodsOfItsKey(t *testing.T) {
	handler := newTestHandler(t, withLogin("phone:"+rightKey+" methods=GET,HEAD"), &recorder{})
	cookie := logIn(t, handler, rightKey)
	for range 2 {
		wantSession(t, handler, cookie, true)
		r := newRequest(http.Header{"Cookie": {cookie}})
		r.Method = http.MethodPost
		if got := ask(handler, r).Code; got != http.StatusForbidden {
			t.Errorf("POST gets %d", got)
		}
	}
}

// The name of a session's key replaces what the browser sends in that header, also once its cookie was verified. Not parallel, as
// above.
func TestSessionHasTheNameOfItsKey(t *testing.T) {
	config, next := withLogin("phone:"+rightKey), &recorder{}
	config.KeyNameHeader = "X-Key-Name"
	handler := newTestHandler(t, config, next)
	cookie := logIn(t, handler, rightKey)
	for range 2 {
		ask(handler, newRequest(http.Header{"Cookie": {cookie}, "X-Key-Name": {"admin"}, "X_key_name": {"admin"}}))
		if got, alias := next.r.Header["X-Key-Name"], next.r.Header["X_key_name"]; !slices.Equal(got, []string{"phone"}) || alias != nil {
			t.Errorf("the name arrives as %q and %q", got, alias)
		}
	}
}

// With a key, Immich gets its own cookies unchanged.
func TestKeyWithOtherCookies(t *testing.T) {
	t.Parallel()
	next := &recorder{}
	handler := newTestHandler(t, withLogin("phone:"+rightKey), next)
	const cookies = "immich_access_token=x; immich_is_authenticated=true"
	r := withKey(rightKey)
	r.Header.Set("Cookie", cookies)
	if got := ask(handler, r).Code; got != http.StatusOK || next.r.Header.Get("Cookie") != cookies {
		t.Errorf("status %d, cookies %q", got, next.r.Header["Cookie"])
	}
}

// A session ends when its key is no longer in the file, even if another key has its name, and is valid again when the key is
// back. Not parallel, as above.
func TestSessionFollowsTheKeysFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newFile(t, "phone:"+rightKey)
		handler := newTestHandler(t, &Config{KeysFile: path, BrowserLogin: true}, &recorder{})
		cookie := logIn(t, handler, rightKey)
		wantSession(t, handler, cookie, true)
		for text, want := range map[string]bool{"phone:" + otherKey: false, "tablet:" + rightKey: false, "tablet:" + otherKey: false} {
			write(t, path, text, time.Now())
			time.Sleep(10 * time.Second)
			wantSession(t, handler, cookie, want)
			write(t, path, "tablet:"+otherKey+"\nphone:"+rightKey, time.Now())
			time.Sleep(10 * time.Second)
			wantSession(t, handler, cookie, true)
		}
	})
}

// Handlers of one process accept each other's sessions, like those before and after a reload; log-outs apply to all of them.
func TestSessionOutlivesAReload(t *testing.T) {
	t.Parallel()
	before, after := newTestHandler(t, withLogin("phone:"+rightKey), &recorder{}), newTestHandler(t, withLogin("phone:"+rightKey), &recorder{})
	cookie, another := logIn(t, before, rightKey), logIn(t, before, rightKey)
	for range 2 {
		wantSession(t, after, cookie, true)
		wantSession(t, before, cookie, true)
	}
	logOut(before, cookie)
	for range 2 {
		wantSession(t, after, cookie, false)
		wantSession(t, before, cookie, false)
		wantSession(t, after, another, true)
	}
}

// A client that is locked out can't use its session until the lockout ends, as with a valid key.
func TestSessionDuringLockout(t *testing.T) {
	t.Parallel()
	config := withLogin("phone:" + rightKey)
	config.MaxWrongKeys = "2"
	handler := newTestHandler(t, config, &recorder{})
	cookie := logIn(t, handler, rightKey)
	wantSession(t, handler, cookie, true)
	guesses(t, handler, "192.0.2.1:1", 0, 2)
	if got := ask(handler, newRequest(http.Header{"Cookie": {cookie}})).Code; got != http.StatusTooManyRequests {
		t.Errorf("status %d", got)
	}
	if got := ask(handler, from("192.0.2.2:1", newRequest(http.Header{"Cookie": {cookie}}))).Code; got != http.StatusOK {
		t.Errorf("from another address: status %d", got)
	}
}

func TestSessionSecretFile(t *testing.T) {
	t.Parallel()
	handlerWith := func(secret string) http.Handler {
		config := withLogin("phone:" + rightKey)
		config.SessionSecretFile = newFile(t, secret)
		return newTestHandler(t, config, &recorder{})
	}
	const secret = "0123456789abcdef0123456789abcdef"
	cookie := logIn(t, handlerWith(secret), rightKey)
	wantSession(t, handlerWith(secret+"\n"), cookie, true)
	wantSession(t, handlerWith(strings.ToUpper(secret)), cookie, false)
	wantSession(t, newTestHandler(t, withLogin("phone:"+rightKey), &recorder{}), cookie, false)
}

func TestWrongSessionSecretFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, want string }{
		"missing":   {t.TempDir() + "/missing", "no such file"},
		"folder":    {t.TempDir(), "is not a regular file"},
		"short":     {newFile(t, " "+strings.Repeat("s", 31)+"\n"), "holds 31 characters; at least 32 are needed"},
		"too large": {newFile(t, strings.Repeat("s", maxSecretFile+1)), "is larger than 64 KiB"},
	} {
		wantWrong(t, Config{Keys: []string{rightKey}, SessionSecretFile: c.path}, "sessionSecretFile", c.want)
		if err := newError(t, Config{Keys: []string{rightKey}, SessionSecretFile: c.path}); strings.Contains(err.Error(), "ssss") {
			t.Errorf("%s: the secret is shown: %v", name, err)
		}
	}
}

// An upgraded connection can carry every method.
func TestSessionUpgrades(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, withLogin("phone:"+rightKey, "guest:"+otherKey+" methods=GET,HEAD"), &recorder{})
	for key, want := range map[string]int{rightKey: http.StatusOK, otherKey: http.StatusForbidden} {
		r := newRequest(http.Header{"Cookie": {logIn(t, handler, key)}, "Upgrade": {"websocket"}})
		if got := ask(handler, r).Code; got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
}

// However often one key's sessions are logged out, none of them becomes valid again, and those of other keys stay valid.
func TestLogoutsAreBounded(t *testing.T) {
	t.Parallel()
	const boundedKey = rightKey + "-bounded"
	synctest.Test(t, func(t *testing.T) {
		handler := newTestHandler(t, withLogin("bounded:"+boundedKey, "other:"+otherKey), &recorder{})
		other := logIn(t, handler, otherKey)
		var ended []string
		for range mostLogouts + 20 {
			cookie := logIn(t, handler, boundedKey)
			logOut(handler, cookie)
			ended = append(ended, cookie)
			time.Sleep(time.Second)
		}
		for _, cookie := range ended {
			wantSession(t, handler, cookie, false)
		}
		wantSession(t, handler, other, true)
		wantSession(t, handler, logIn(t, handler, boundedKey), true)
		if got := len(process.logouts.byKey[sha256.Sum256([]byte(boundedKey))].ended); got > mostLogouts {
			t.Errorf("%d log-outs are remembered", got)
		}
		time.Sleep(1000 * time.Hour)
		logOut(handler, logIn(t, handler, boundedKey))
		if got := len(process.logouts.byKey[sha256.Sum256([]byte(boundedKey))].ended); got != 1 {
			t.Errorf("%d log-outs are remembered after all but one have expired", got)
		}
	})
}

// However often a key's sessions are logged out, that ends no session of another key that has the same name in another handler,
// and none that began later, even if the lifetime has been shortened.
func TestLogoutsConcernEarlierSessionsOfTheirKey(t *testing.T) {
	t.Parallel()
	const key, sameName = rightKey + "-earlier", otherKey + "-earlier"
	synctest.Test(t, func(t *testing.T) {
		long := newTestHandler(t, withLogin(key), &recorder{})
		config := withLogin(sameName)
		config.BrowserSession = "1h"
		neighbor := newTestHandler(t, config, &recorder{})
		before := logIn(t, neighbor, sameName)
		for range mostLogouts + 1 {
			logOut(long, logIn(t, long, key))
			time.Sleep(time.Nanosecond)
		}
		wantSession(t, neighbor, before, true)
		wantSession(t, neighbor, logIn(t, neighbor, sameName), true)

		config = withLogin(key)
		config.BrowserSession = "1h"
		shorter := newTestHandler(t, config, &recorder{})
		wantSession(t, shorter, logIn(t, shorter, key), true)
	})
}

// A client with a session may vary its other cookies: the cache is bounded, and each request keeps its own cookies.
func TestVerifiedCookiesAreBounded(t *testing.T) {
	t.Parallel()
	config := withLogin("phone:" + rightKey)
	next := &recorder{}
	s, err := parse(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(next, s, newDenialLog("test", false))
	handler := g.handler()
	cookie := logIn(t, handler, rightKey)
	for i := range 3 * mostRemembered {
		other := fmt.Sprintf("a=%d", i)
		for range 2 {
			ask(handler, newRequest(http.Header{"Cookie": {other + "; " + cookie}}))
			if got := next.r.Header.Get("Cookie"); got != other {
				t.Fatalf("the cookies arrive as %q, want %q", got, other)
			}
		}
	}
	count := 0
	g.sessions.verified.entries.Range(func(_, _ any) bool { count++; return true })
	if count > mostRemembered {
		t.Errorf("%d Cookie headers are remembered", count)
	}
	ask(handler, newRequest(http.Header{"Cookie": {strings.Repeat("a", longestRemembered) + "=1; " + cookie}}))
	if next.r.Header.Get("Cookie") != strings.Repeat("a", longestRemembered)+"=1" {
		t.Error("a long Cookie header does not arrive as it was")
	}
}

// Concurrent log-ins, log-outs and requests, for the race detector.
func TestSessionsAtTheSameTime(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, withLogin("phone:"+rightKey), http.NotFoundHandler())
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 20 {
				cookie := logIn(t, handler, rightKey)
				ask(handler, newRequest(http.Header{"Cookie": {cookie}}))
				logOut(handler, cookie)
				wantSession(t, handler, cookie, false)
			}
		})
	}
	wait.Wait()
}

// The secret of the process is random: nobody can sign a cookie without it.
func TestProcessSecretIsRandom(t *testing.T) {
	t.Parallel()
	if string(process.secret) == string(make([]byte, secretSize)) || string(randomBytes(secretSize)) == string(process.secret) {
		t.Error("it is not random")
	}
}

func FuzzVerify(f *testing.F) {
	s, err := parse(withLogin("phone:"+rightKey), "test")
	if err != nil {
		f.Fatal(err)
	}
	g := newGuard(&recorder{}, s, newDenialLog("test", false))
	for _, value := range []string{"", ".", "...", "id.1.99999999999.phone.", "id.1.-1.phone.x", "id.1.1e9.phone.x", "a.b.c.d.e.f", "\x00.1.9.phone.x"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if g.sessions.verify(value) != nil {
			t.Errorf("%q is a session", value)
		}
	})
}

// The work for a request's cookies is bounded, since anybody can send a megabyte of them.
func TestCookiesAreBounded(t *testing.T) {
	t.Parallel()
	next := &recorder{}
	handler := newTestHandler(t, withLogin("phone:"+rightKey), next)
	cookie := logIn(t, handler, rightKey)
	forged := strings.Repeat(secureCookie+"=id.1.9999999999.phone.forged; ", mostSessions-1)
	wantSession(t, handler, strings.Repeat("a=b; ", mostCookies-1)+cookie, true)
	wantSession(t, handler, strings.Repeat("a=b; ", mostCookies)+cookie, false)
	wantSession(t, handler, strings.Repeat(";", mostCookies)+cookie, false)
	wantSession(t, handler, forged+cookie, true)
	wantSession(t, handler, forged+secureCookie+"=x; "+cookie, false)

	lines := http.Header{"Cookie": {cookie}, "X-Access-Key": {rightKey}}
	for range mostCookies {
		lines.Add("Cookie", "a=b")
	}
	if got := ask(handler, newRequest(lines)).Code; got != http.StatusOK || next.r.Header["Cookie"] != nil {
		t.Errorf("with a key, too many cookies: status %d, %d lines arrive", got, len(next.r.Header["Cookie"]))
	}
}
