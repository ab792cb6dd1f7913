package conformance

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

var lockingOut = Options{"keys": []string{"phone:" + Key}, "maxWrongKeys": 3, "wrongKeyWindow": "10m", "publicRoutes": "ping", "keylessNetworks": "127.8.0.0/16"}

// addresses counts the loopback addresses that were given to clients.
var addresses atomic.Int32

func newAddress(network string) string {
	n := addresses.Add(1)
	return fmt.Sprintf("%s.%d.%d", network, n/250, 1+n%250)
}

// lockouts tests clients that try many keys.
func lockouts(t *testing.T, proxy Proxy) {
	gateway := proxy.Open(t, lockingOut)
	try := func(from, key, uri string) *http.Response {
		t.Helper()
		request := gateway.get(t, http.MethodGet, uri)
		request.Header.Set("X-Access-Key", key)
		response, _ := do(t, gateway.client(t, from), request)
		return response
	}
	want := func(from, key, uri string, status int) *http.Response {
		t.Helper()
		response := try(from, key, uri)
		if response.StatusCode != status {
			t.Errorf("%s with %q gets %d, want %d", from, key, response.StatusCode, status)
		}
		return response
	}

	outdated := newAddress("127.9")
	for range 10 {
		want(outdated, "outdated", "/api/show", http.StatusForbidden)
	}
	want(outdated, Key, "/api/show", http.StatusOK)

	guesser := newAddress("127.9")
	for i := range 3 {
		want(guesser, "guess-"+strconv.Itoa(i), "/api/show", http.StatusForbidden)
	}
	before := gateway.Immich.Requests()
	response := want(guesser, Key, "/api/show", http.StatusTooManyRequests)
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err != nil || seconds < 500 || seconds > 600 {
		t.Errorf("Retry-After: %q", response.Header.Get("Retry-After"))
	}
	want(guesser, "guess-0", "/api/show", http.StatusTooManyRequests)
	lockoutPage(t, gateway, guesser)
	if gateway.Immich.Requests() != before {
		t.Error("a request has reached Immich")
	}
	want(guesser, "", "/api/server/ping", http.StatusOK)
	want(outdated, Key, "/api/show", http.StatusOK)
	want(newAddress("127.9"), Key, "/api/show", http.StatusOK)

	public := newAddress("127.9")
	for i := range 3 {
		want(public, "guess-"+strconv.Itoa(i), "/api/server/ping", http.StatusOK)
	}
	want(public, Key, "/api/show", http.StatusTooManyRequests)
	want(public, Key, "/api/server/ping", http.StatusOK)

	home := newAddress("127.8")
	for i := range 5 {
		want(home, "guess-"+strconv.Itoa(i), "/api/show", http.StatusOK)
	}
}

// lockoutPage tests that browsers get a page, and clients of the API never do.
func lockoutPage(t *testing.T, gateway Gateway, from string) {
	t.Helper()
	for uri, want := range map[string]string{"/photos": "<h1>Too many wrong keys</h1>", "/api/show": `"statusCode":429`} {
		request := gateway.get(t, http.MethodGet, uri)
		request.Header.Set("Sec-Fetch-Mode", "navigate")
		request.Header.Set("Sec-Fetch-Dest", "document")
		response, body := do(t, gateway.client(t, from), request)
		if response.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(body), want) {
			t.Errorf("a browser that asks for %s gets %d %s", uri, response.StatusCode, body)
		}
	}
}
