package conformance

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

var (
	withBasic         = Options{"keys": []string{"phone:" + Key}, "basicAuth": true}
	basicHome         = Options{"keys": []string{"phone:" + Key}, "basicAuth": true, "keylessNetworks": "127.0.0.4"}
	basicUnauthorized = Options{"keys": []string{"phone:" + Key}, "basicAuth": true, "denyStatus": 401}
	basicBrowsers     = Options{"keys": []string{"phone:" + Key}, "basicAuth": true, "denyStatus": 401, "browserLogin": true, "browserSession": "48h"}
	basicLockingOut   = Options{"keys": []string{"phone:" + Key}, "basicAuth": true, "maxWrongKeys": 3}
)

const basicChallenge = `Basic realm="Immich"`

// basic is the header that a program sends for https://USER:PASSWORD@host.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func authorization(values ...string) header { return header{"Authorization": values} }

var gone = map[string]string{"Authorization": "", "X-Access-Key": ""}

var basicCases = []testCase{
	{Name: "Basic", Options: withBasic, Header: authorization(basic("x", Key)), Arrives: gone},
	{Name: "Basic with another user", Options: withBasic, Header: authorization(basic("anna@example.com", Key)), Arrives: gone},
	{Name: "Basic without a user", Options: withBasic, Header: authorization(basic("", Key)), Arrives: gone},
	{Name: "Basic in small letters", Options: withBasic, Header: authorization("b" + basic("x", Key)[1:]), Arrives: gone},
	{Name: "Basic and another scheme", Options: withBasic, Header: authorization("Bearer abc", basic("x", Key)), Arrives: map[string]string{"Authorization": "Bearer abc", "X-Access-Key": ""}},
	{Name: "Basic with POST", Options: withBasic, Method: "POST", Header: authorization(basic("x", Key)), Arrives: gone},
	{Name: "wrong password", Options: withBasic, Header: authorization(basic("x", "wrong")), Status: 403},
	{Name: "no password", Options: withBasic, Header: authorization(basic("x", "")), Status: 403},
	{Name: "key as the user", Options: withBasic, Header: authorization(basic(Key, "")), Status: 403},
	{Name: "key and more as the password", Options: withBasic, Header: authorization(basic("x", Key+":y")), Status: 403},
	{Name: "Basic that can't be read", Options: withBasic, Header: authorization("Basic " + Key), Status: 403},
	{Name: "Basic alone", Options: withBasic, Header: authorization("Basic"), Status: 403},
	{Name: "Basic twice", Options: withBasic, Header: authorization(basic("x", Key), basic("y", Key)), Status: 403},
	{Name: "Bearer instead of Basic", Options: withBasic, Header: authorization("Bearer " + Key), Status: 403},
	{Name: "Basic without the option", Options: withKey, Header: authorization(basic("x", Key)), Status: 403},
	{Name: "Basic without the option, right key", Options: withKey, Header: plus(right, "Authorization", basic("x", "y")), Arrives: map[string]string{"Authorization": basic("x", "y")}},
	{Name: "Basic beside the right key", Options: withBasic, Header: plus(right, "Authorization", basic("x", "wrong")), Arrives: gone},
	{Name: "Basic beside a wrong key", Options: withBasic, Header: plus(authorization(basic("x", Key)), "X-Access-Key", "wrong"), Status: 403},
	{Name: "Bearer beside the right key", Options: withBasic, Header: plus(right, "Authorization", "Bearer abc"), Arrives: map[string]string{"Authorization": "Bearer abc"}},
	{Name: "right key, with the option", Options: withBasic, Header: right, Arrives: gone},
	{Name: "Basic for some methods", Options: Options{"keys": []string{"phone:" + Key + " methods=GET"}, "basicAuth": true}, Method: "DELETE", Header: authorization(basic("x", Key)), Status: 403},
	{Name: "Basic by name", Options: Options{"keys": []string{"phone:" + Key}, "basicAuth": true, "keyNameHeader": "X-Key-Name"}, Header: authorization(basic("admin", Key)), Arrives: map[string]string{"X-Key-Name": "phone", "Authorization": ""}},
	{Name: "Basic with forwardKey", Options: Options{"keys": []string{Key}, "basicAuth": true, "forwardKey": true}, Header: authorization(basic("x", Key)), Arrives: map[string]string{"Authorization": "", "X-Access-Key": Key}},
	{Name: "Basic in a network without a key", Options: basicHome, From: "127.0.0.4", Header: authorization(basic("x", "wrong")), Arrives: gone},
	{Name: "Basic where no key is needed", Options: Options{"requireKey": false, "basicAuth": true}, Header: authorization(basic("x", "y")), Arrives: gone},
	{Name: "challenge without a key", Options: basicUnauthorized, Status: 401, Challenge: basicChallenge},
	{Name: "challenge to a wrong password", Options: basicUnauthorized, Header: authorization(basic("x", "wrong")), Status: 401, Challenge: basicChallenge},
	{Name: "challenge to a browser without login page", Options: basicUnauthorized, Header: navigation, Status: 401, Challenge: basicChallenge},
	{Name: "challenge to a program beside the login page", Options: basicBrowsers, Status: 401, Challenge: basicChallenge},
	{Name: "no password dialog for an open tab", Options: basicBrowsers, Header: header{"Sec-Fetch-Mode": {"cors"}}, Status: 401, Challenge: `AccessKey header="X-Access-Key"`},
}

// basicSessions tests which of a browser's credentials takes precedence.
func basicSessions(t *testing.T, proxy Proxy) {
	b := browser{t, proxy.Open(t, basicBrowsers)}
	response, body := b.ask("GET", "/photos", "", navigation)
	if response.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "<form") || strings.Contains(response.Header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("a browser gets %d, %v, %s", response.StatusCode, response.Header["Www-Authenticate"], body)
	}
	cookie := header{"Cookie": {b.session(Key)}}
	for _, c := range []struct {
		name   string
		header header
		status int
	}{
		{"cookie", cookie, http.StatusOK},
		{"cookie and a wrong password, as of a key that was revoked", plus(cookie, "Authorization", basic("x", "wrong")), http.StatusOK},
		{"cookie and a wrong key", plus(cookie, "X-Access-Key", "wrong"), http.StatusUnauthorized},
		{"cookie, right password and a wrong key", plus(plus(cookie, "X-Access-Key", "wrong"), "Authorization", basic("x", Key)), http.StatusUnauthorized},
		{"right key, wrong password, wrong cookie", header{"X-Access-Key": {Key}, "Authorization": {basic("x", "wrong")}, "Cookie": {cookie["Cookie"][0] + "x"}}, http.StatusOK},
		{"wrong cookie and the right password", header{"Cookie": {cookie["Cookie"][0] + "x"}, "Authorization": {basic("x", Key)}}, http.StatusOK},
		{"wrong cookie and a wrong password", header{"Cookie": {cookie["Cookie"][0] + "x"}, "Authorization": {basic("x", "wrong")}}, http.StatusUnauthorized},
		{"wrong cookie and Bearer", header{"Cookie": {cookie["Cookie"][0] + "x"}, "Authorization": {"Bearer abc"}}, http.StatusUnauthorized},
	} {
		response, body := b.ask("GET", "/api/show", "", c.header)
		if response.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, response.StatusCode, c.status, body)
		}
		if c.status == http.StatusOK {
			wantArrival(t, b.gateway, response, []byte(body), map[string]string{"Authorization": "", "X-Access-Key": "", "Cookie": ""})
		}
	}
}

// basicLockout tests that wrong passwords count like wrong keys.
func basicLockout(t *testing.T, proxy Proxy) {
	gateway := proxy.Open(t, basicLockingOut)
	client := gateway.client(t, newAddress("127.9"))
	status := func(name, value string) int {
		t.Helper()
		request := gateway.get(t, http.MethodGet, "/api/show")
		request.Header = http.Header{name: {value}}
		response, _ := do(t, client, request)
		return response.StatusCode
	}
	for i := range 5 { // a repeated password counts once
		if got := status("Authorization", basic("user"+strconv.Itoa(i), "outdated")); got != http.StatusForbidden {
			t.Errorf("wrong password: status %d", got)
		}
	}
	status("Authorization", basic("x", "guess"))
	status("X-Access-Key", "guess-too")
	for _, credentials := range [][2]string{{"Authorization", basic("x", Key)}, {"X-Access-Key", Key}} {
		if got := status(credentials[0], credentials[1]); got != http.StatusTooManyRequests {
			t.Errorf("%s during lockout: status %d", credentials[0], got)
		}
	}
}
