package fakeimmich

import (
	"encoding/json"
	"image/png"
	"net/http"
	"strings"
	"testing"
)

func TestShowsOtherRequestsAsTheyArrived(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	for _, uri := range []string{
		"/", "/photos?x=1", "//", "//api/server/ping", "/api/../api/server/ping", "/a/./b", "/a/..", "/a/", "/a%2Fb",
		"/api%2fserver/ping", "/api/socket.io/%2e%2e/x", "/api/assets/%2e%2e", "*",
	} {
		t.Run(uri, func(t *testing.T) {
			t.Parallel()

			conn := dial(t, url)
			conn.send(t, "GET %s HTTP/1.1\r\nHost: photos.example\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n", uri)
			response, body := conn.receive(t)

			if response.StatusCode != http.StatusOK {
				t.Fatalf("answered %s", response.Status)
			}

			var got Arrival
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if got.Method != "GET" || got.URI != uri || got.Host != "photos.example" || got.Proto != "HTTP/1.1" {
				t.Errorf("saw %+v", got)
			}
			if got.RemoteAddr != conn.LocalAddr().String() {
				t.Errorf("came from %s, saw %s", conn.LocalAddr(), got.RemoteAddr)
			}
			if twice := got.Headers["X-Twice"]; len(twice) != 2 {
				t.Errorf("X-Twice arrived as %q", twice)
			}
		})
	}
}

func TestShowsABrowserAPage(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	response, body := get(t, url+"/photos", http.Header{
		"Accept": {"text/html,*/*;q=0.8"},
		"X-Evil": {"<script>alert(1)</script>"},
	})

	if got := response.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}
	if !strings.Contains(body, "GET /photos HTTP/1.1") || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("the page does not show the request:\n%s", body)
	}
	if strings.Contains(body, "<script>") {
		t.Errorf("the page does not escape:\n%s", body)
	}
}

func TestPageBringsItsScript(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	for _, path := range []string{"/", "/photos?x=1", "/share/abc", "/s/holidays"} {
		response, body := get(t, url+path, http.Header{"Accept": {"text/html"}})
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
		if !strings.Contains(body, `src="/_app/page.js"`) {
			t.Errorf("%s has no script", path)
		}
	}

	response, script := get(t, url+"/_app/page.js", http.Header{"Accept": {"*/*"}})
	if got := response.Header.Get("Content-Type"); got != "text/javascript; charset=utf-8" || !strings.Contains(script, "WebSocket") {
		t.Errorf("the script is %s:\n%s", got, script)
	}
}

func TestDrawsThumbnails(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	seen := map[string]bool{}
	for _, uri := range []string{"/api/assets/1/thumbnail?size=thumbnail", "/api/assets/2/thumbnail?size=preview"} {
		response, body := get(t, url+uri, nil)
		if _, err := png.Decode(strings.NewReader(body)); err != nil || response.Header.Get("Content-Type") != "image/png" {
			t.Errorf("%s is %s: %v", uri, response.Header.Get("Content-Type"), err)
		}
		seen[body] = true
	}
	if len(seen) != 2 {
		t.Error("two assets look the same")
	}
}
