package logging

import (
	"net/url"
	"testing"
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
