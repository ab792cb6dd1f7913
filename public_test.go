package immichaccess

import (
	"net/http"
	"strings"
	"testing"
)

// Every line of the table can be read, and is of the form that its comment promises.
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
			if len(fields) == 3 && credentials[fields[2]].query == nil {
				t.Errorf("%s: %q asks for something unknown", name, line)
			}
		}
	}
}

// A public upload is bounded like any other, and is denied before it is read.
func TestPublicUploadsObeyTheLimit(t *testing.T) {
	t.Parallel()
	immich := &keeper{}
	door := newDoor(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"shared-links"}, MaxUploadSize: "1k"}, immich)
	for length, want := range map[int64]int{1 << 10: http.StatusOK, 1<<10 + 1: http.StatusRequestEntityTooLarge} {
		r := newRequest(nil)
		r.Method, r.ContentLength, r.URL.Path, r.URL.RawQuery = http.MethodPost, length, "/api/assets", "key=x"
		if got := ask(door, r).Code; got != want {
			t.Errorf("%d bytes: status %d, want %d", length, got, want)
		}
	}
}

// A stranger gets no connection to Immich of its own.
func TestPublicRoutesDoNotUpgrade(t *testing.T) {
	t.Parallel()
	immich := &keeper{}
	door := newDoor(t, &Config{Keys: []string{rightKey}, PublicRoutes: []string{"ping"}}, immich)
	r := newRequest(http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}})
	r.URL.Path = "/api/server/ping"
	if got := ask(door, r).Code; got != http.StatusOK || immich.r.Header["Upgrade"] != nil {
		t.Errorf("status %d, Upgrade: %q", got, immich.r.Header["Upgrade"])
	}
}

func FuzzPlainPath(f *testing.F) {
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
		if !isPlain(r) {
			return
		}
		for _, segment := range strings.Split(url.EscapedPath(), "/")[1:] {
			decoded, err := r.URL.Parse("/" + segment)
			if err != nil || strings.ContainsAny(decoded.Path[1:], "/\\;%\x00\n\r") || decoded.Path == "/." || decoded.Path == "/.." {
				t.Errorf("%q is taken for plain", target)
			}
		}
	})
}
