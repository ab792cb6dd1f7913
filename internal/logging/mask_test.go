package logging

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/testlog"
)

func TestPathHasNoSecrets(t *testing.T) {
	t.Parallel()
	if got := Path(&url.URL{Path: "//share/abc"}); got != "/share/****" {
		t.Errorf("//share/abc is logged as %s", got)
	}
	for given, want := range map[string]string{
		"/api/assets/1/original":                    "/api/assets/1/original",
		"/api/assets/1/thumbnail?size=1&key=abc":    "/api/assets/1/thumbnail?size=1&key=****",
		"/api/x?sessionKey=a&apiKey=b&slug=c;Key=d": "/api/x?sessionKey=****&apiKey=****&slug=****&Key=****",
		"/api/x?%6bey=abc":                          "/api/x?%6bey=****",
		"/api/x?key[]=a&+key=b&X-Access-Key=c":      "/api/x?key[]=****&+key=****&X-Access-Key=****",
		"/api/shared-links/me?password=a&token=b":   "/api/shared-links/me?password=****&token=****",
		"/auth/login?code=a&state=b":                "/auth/login?code=****&state=b",
		"/x/..//./share/abc":                        "/share/****",
		"/api/x?keys=1":                             "/api/x?keys=1",
		"/share/abc/photos/1":                       "/share/****",
		"/%73hare/abc":                              "/share/****",
		"/s/holiday":                                "/s/****",
		"/settings":                                 "/settings",
	} {
		u, err := url.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := Path(u); got != want {
			t.Errorf("%s is logged as %s, want %s", given, got, want)
		}
	}
}

// The handler has its own mask, since the code that Traefik interprets can't import this package.
func TestHandlerMasksTheSamePaths(t *testing.T) { //nolint:paralleltest // the default logger is global
	var out bytes.Buffer
	before := slog.Default()
	TakeOver(New(&out, "json", new(slog.LevelVar)))
	defer slog.SetDefault(before)
	for _, path := range []string{
		"/", "/share/abc", "/share/abc/photos/1", "//share/abc", "/SHARE/abc", "/x/..//./share/abc", "/s/holiday", "/s/", "/share", "/shared", "/settings/s/1",
	} {
		out.Reset()
		handler, err := immichaccess.New(t.Context(), http.NotFoundHandler(), &immichaccess.Config{
			Keys: []string{"phone:correct-horse-battery-staple"}, LogDenied: true,
		}, "")
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		handler.ServeHTTP(httptest.NewRecorder(), r)
		var line struct{ Msg, Path string }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", out.String(), err)
		}
		if want := Path(&url.URL{Path: path}); line.Msg != "denied" || line.Path != want {
			t.Errorf("%s is %s to the handler, and %s here", path, line.Path, want)
		}
	}
}

// TestUnsolicitedResponseIsNotQuoted has an Immich that sends more than its response.
func TestUnsolicitedResponseIsNotQuoted(t *testing.T) { //nolint:paralleltest // the default logger is global
	var out testlog.Log
	before := slog.Default()
	TakeOver(New(&out, "text", new(slog.LevelVar)))
	defer slog.SetDefault(before)
	immich := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\nsecret")
	}))
	defer immich.Close()
	response, err := http.Get(immich.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	out.Await(t, "Unsolicited response")
	if text := out.String(); strings.Contains(text, "secret") {
		t.Error(text)
	}
}
