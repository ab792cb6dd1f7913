package conformance

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// public returns options with public routes.
func public(names ...string) Options {
	return Options{"keys": []string{"phone:" + Key}, "publicRoutes": names, "maxUploadSize": "64k"}
}

var allPublic = public("ping", "well-known", "oauth", "shared-links", "session-media")

const (
	id    = "9f2d8d4e-7f3b-4c52-8d0e-0d5c3b1f6a01"
	asset = "/api/assets/" + id
)

// routeCase is one request without a key.
type routeCase struct {
	Method, Target string
	Header         header
	Options        Options // allPublic unless given
	Cleaned        bool    // some proxies normalize it before the handler sees it
}

var opened = []routeCase{
	{Method: "GET", Target: "/api/server/ping"},
	{Method: "HEAD", Target: "/api/server/ping"},
	{Method: "GET", Target: "/api/server/ping?x=1"},
	{Method: "GET", Target: "/.well-known/immich"},
	{Method: "GET", Target: "/api/oauth/mobile-redirect?code=x"},
	{Method: "POST", Target: "/api/oauth/backchannel-logout"},
	{Method: "GET", Target: asset + "/thumbnail?sessionKey=x"},
	{Method: "HEAD", Target: asset + "/video/playback?size=1&sessionKey=x"},
	{Method: "GET", Target: "/share/Ab-_9"},
	{Method: "GET", Target: "/share/Ab-_9/photos/" + id},
	{Method: "GET", Target: "/s/holiday"},
	{Method: "GET", Target: "/s/J%C3%BCrgen%20%26%20co"},
	{Method: "GET", Target: "/s/holiday/photos/" + strings.ToUpper(id)},
	{Method: "GET", Target: "/_app/immutable/entry/app.js"},
	{Method: "GET", Target: "/_app/version.json"},
	{Method: "GET", Target: "/service-worker.js"},
	{Method: "GET", Target: "/manifest.json"},
	{Method: "GET", Target: "/favicon.ico"},
	{Method: "GET", Target: "/favicon-32.png"},
	{Method: "GET", Target: "/apple-icon-180.png"},
	{Method: "GET", Target: "/manifest-icon-192.maskable.png"},
	{Method: "GET", Target: "/light_skeleton.png"},
	{Method: "GET", Target: "/dark_skeleton.png"},
	{Method: "GET", Target: "/feature-panel.png"},
	{Method: "GET", Target: "/robots.txt"},
	{Method: "GET", Target: "/custom.css"},
	{Method: "GET", Target: "/api/server/config"},
	{Method: "GET", Target: "/api/server/features"},
	{Method: "GET", Target: "/api/server/media-types"},
	{Method: "GET", Target: "/api/public/config"},
	{Method: "GET", Target: "/api/shared-links/me?key=x"},
	{Method: "GET", Target: "/api/shared-links/me?slug=x"},
	{Method: "GET", Target: "/api/shared-links/me", Header: header{"X-Immich-Share-Key": {"x"}}},
	{Method: "GET", Target: "/api/shared-links/me", Header: header{"X-Immich-Share-Slug": {"x"}}},
	{Method: "POST", Target: "/api/shared-links/login?key=x"},
	{Method: "GET", Target: "/api/albums/" + id + "?key=x"},
	{Method: "GET", Target: "/api/albums/" + id + "/map-markers?key=x"},
	{Method: "POST", Target: "/api/assets?key=x"},
	{Method: "GET", Target: asset + "?key=x"},
	{Method: "GET", Target: asset + "/original?key=x"},
	{Method: "HEAD", Target: asset + "/original?key=x"},
	{Method: "GET", Target: asset + "/thumbnail?size=preview&key=x"},
	{Method: "GET", Target: asset + "/video/playback?slug=x"},
	{Method: "GET", Target: asset + "/video/stream/main.m3u8?key=x"},
	{Method: "GET", Target: asset + "/video/stream/session/720p/1.ts?key=x"},
	{Method: "DELETE", Target: asset + "/video/stream/session?key=x"},
	{Method: "POST", Target: "/api/download/info?key=x"},
	{Method: "POST", Target: "/api/download/archive?key=x"},
	{Method: "POST", Target: "/api/search/metadata?key=x"},
	{Method: "GET", Target: "/api/timeline/buckets?key=x"},
	{Method: "GET", Target: "/api/timeline/bucket?timeBucket=2026-01-01&key=x"},
	{Method: "GET", Target: "/api/server/ping", Options: public("ping")},
	{Method: "GET", Target: "/api/server/ping", Options: public(" ping ")},
	{Method: "GET", Target: asset + "/thumbnail?sessionKey=x", Options: public("session-media")},
}

var shut = []routeCase{
	// not in the list
	{Method: "GET", Target: "/"},
	{Method: "GET", Target: "/photos"},
	{Method: "GET", Target: "/auth/login"},
	{Method: "GET", Target: "/api/server/about"},
	{Method: "GET", Target: "/api/server/ping/"},
	{Method: "GET", Target: "/api/server/ping/x"},
	{Method: "GET", Target: "/api/server/pingx"},
	{Method: "GET", Target: "/API/server/ping"},
	{Method: "GET", Target: "/.well-known/acme-challenge/x"},
	{Method: "GET", Target: "/share"},
	{Method: "GET", Target: "/share/"},
	{Method: "GET", Target: "/share/x/photos"},
	{Method: "GET", Target: "/share/x/photos/1"},
	{Method: "GET", Target: "/share/x/y"},
	{Method: "GET", Target: "/s/x/photos/" + id + "/y"},
	{Method: "GET", Target: "/_app"},
	{Method: "GET", Target: "/_app/"},
	{Method: "GET", Target: "/_apps/x"},
	{Method: "GET", Target: "/favicon/x"},
	{Method: "GET", Target: "/manifest-icon"},
	{Method: "GET", Target: "/service-worker.js/x"},
	{Method: "GET", Target: "/api/socket.io/?EIO=4&transport=websocket&key=x"},
	{Method: "GET", Target: "/api/users/me?key=x"},
	{Method: "GET", Target: "/api/shared-links?key=x"},
	{Method: "GET", Target: "/api/albums?key=x"},
	{Method: "GET", Target: "/api/search/metadata?key=x"},
	{Method: "GET", Target: "/api/timeline?key=x"},
	{Method: "GET", Target: "/api/admin/users?key=x&slug=y&sessionKey=z"},
	{Method: "GET", Target: "/api/assets/statistics?key=x"},
	{Method: "GET", Target: "/api/assets/" + id + "x/original?key=x"},
	{Method: "GET", Target: "/api/assets/" + id[1:] + "/original?key=x"},
	{Method: "GET", Target: "/api/assets/" + strings.Replace(id, "-", "0", 1) + "/original?key=x"},
	{Method: "GET", Target: "/api/assets/" + id + "%0A/original?key=x"},
	{Method: "GET", Target: asset + "/video/stream/main.m3u9?key=x"},
	{Method: "GET", Target: asset + "/video/stream/a/b?key=x"},
	{Method: "GET", Target: asset + "/video/stream/a/b/c/d?key=x"},

	// another method
	{Method: "POST", Target: "/api/server/ping"},
	{Method: "OPTIONS", Target: "/api/server/ping"},
	{Method: "get", Target: "/api/server/ping"},
	{Method: "POST", Target: "/share/x"},
	{Method: "DELETE", Target: asset + "?key=x"},
	{Method: "PUT", Target: asset + "?key=x"},
	{Method: "GET", Target: "/api/assets?key=x"},
	{Method: "HEAD", Target: "/api/assets?key=x"},
	{Method: "DELETE", Target: "/api/albums/" + id + "?key=x"},
	{Method: "PATCH", Target: "/api/albums/" + id + "?key=x"},
	{Method: "GET", Target: "/api/download/archive?key=x"},
	{Method: "GET", Target: "/api/oauth/backchannel-logout"},
	{Method: "POST", Target: "/api/oauth/mobile-redirect"},
	{Method: "GET", Target: asset + "/video/stream/session?key=x"},
	{Method: "POST", Target: asset + "/thumbnail?sessionKey=x"},

	// without the credential that the route requires
	{Method: "GET", Target: asset},
	{Method: "GET", Target: asset + "/original"},
	{Method: "GET", Target: asset + "/original?key="},
	{Method: "GET", Target: asset + "/original?key"},
	{Method: "GET", Target: asset + "/original?key=&slug="},
	{Method: "GET", Target: asset + "/original?Key=x"},
	{Method: "GET", Target: asset + "/original?a;key=x", Cleaned: true},
	{Method: "GET", Target: asset + "/original?sessionKey=x"},
	{Method: "GET", Target: asset + "/original%3Fkey=x"},
	{Method: "GET", Target: asset + "/original?a#&key=x"},
	{Method: "GET", Target: asset + "/original?" + strings.Repeat("a&", 1000) + "key=x"},
	{Method: "GET", Target: asset + "/thumbnail?sessionKey="},
	{Method: "GET", Target: asset + "/thumbnail", Header: header{"X-Immich-Share-Key": {""}}},
	{Method: "GET", Target: asset + "/thumbnail", Header: header{"sessionKey": {"x"}}},
	{Method: "GET", Target: "/api/shared-links/me", Header: header{"key": {"x"}}},
	{Method: "POST", Target: "/api/assets"},

	// a path that is not normalized
	{Method: "GET", Target: "//api/server/ping", Cleaned: true},
	{Method: "GET", Target: "/api//server/ping", Cleaned: true},
	{Method: "GET", Target: "/api/./server/ping", Cleaned: true},
	{Method: "GET", Target: "/x/../api/server/ping", Cleaned: true},
	{Method: "GET", Target: "/api/server/ping/.", Cleaned: true},
	{Method: "GET", Target: "/share/../photos"},
	{Method: "GET", Target: "/_app/../photos"},
	{Method: "GET", Target: "/_app/%2e%2e/photos"},
	{Method: "GET", Target: "/_app/..%2fphotos"},
	{Method: "GET", Target: "/_app/..%5cphotos"},
	{Method: "GET", Target: `/_app/..\photos`},
	{Method: "GET", Target: "/_app/%252e%252e/photos"},
	{Method: "GET", Target: "/api%2Fserver%2fping"},
	{Method: "GET", Target: "/api/server%2fping"},
	{Method: "GET", Target: "/api/%73erver/ping", Cleaned: true},
	{Method: "GET", Target: "/share/a%2fb"},
	{Method: "GET", Target: "/share/a%5cb"},
	{Method: "GET", Target: "/share/a%00b"},
	{Method: "GET", Target: "/share/a%ffb"}, // not UTF-8, which Express can't decode
	{Method: "GET", Target: "/share/a%0d%0ab"},
	{Method: "GET", Target: "/share/a%7fb"},
	{Method: "GET", Target: "/share/a;b"},
	{Method: "GET", Target: "/share/a%3bb"},
	{Method: "GET", Target: "/share/a%25b"},
	{Method: "GET", Target: "/share/a%"},
	{Method: "GET", Target: "/share/a%zz"},
	{Method: "GET", Target: "/share/%2e%2e"},
	{Method: "GET", Target: "/share/%61", Cleaned: true},
	{Method: "GET", Target: "/api/server/ping;x"},
	{Method: "GET", Target: "/api/server/ping%20"},
	{Method: "GET", Target: "/api/server/ping%00"},

	// routes that are not public here
	{Method: "GET", Target: "/.well-known/immich", Options: public("ping")},
	{Method: "GET", Target: "/share/x", Options: public("ping")},
	{Method: "GET", Target: asset + "/thumbnail?key=x", Options: public("session-media")},
	{Method: "GET", Target: "/api/server/ping", Options: withKey},
	{Method: "GET", Target: asset + "/thumbnail?key=x&sessionKey=x", Options: withKey},
}

func (c routeCase) options() Options {
	if c.Options == nil {
		return allPublic
	}
	return c.Options
}

func (c routeCase) String() string {
	return fmt.Sprint(c.Method, " ", c.Target, " ", c.Header)
}

// routes tests the routes that need no key, and others.
func routes(t *testing.T, proxy Proxy) {
	gateways := map[string]Gateway{}
	ask := func(t *testing.T, c routeCase) (status int, arrived bool) {
		name := c.options().String()
		if _, ok := gateways[name]; !ok {
			gateways[name] = proxy.Open(t, c.options())
		}
		before := gateways[name].Immich.Requests()
		status = gateways[name].sendRaw(t, c)
		return status, gateways[name].Immich.Requests() > before
	}
	for _, c := range opened {
		if status, arrived := ask(t, c); !arrived || status == http.StatusForbidden {
			t.Errorf("%s is denied: status %d", c, status)
		}
	}
	for _, c := range shut {
		if c.Cleaned && proxy.CleansPaths {
			continue
		}
		if status, arrived := ask(t, c); arrived || status < http.StatusBadRequest {
			t.Errorf("%s is admitted: status %d", c, status)
		}
	}
}

// sendRaw sends a request that no HTTP client library would.
func (g Gateway) sendRaw(t *testing.T, c routeCase) int {
	t.Helper()
	conn := g.dial(t)
	defer conn.Close()
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n", c.Method, c.Target, g.Host)
	for name, values := range c.Header {
		text += name + ": " + strings.Join(values, ", ") + "\r\n"
	}
	if _, err := conn.Write([]byte(text + "\r\n")); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.Method})
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
