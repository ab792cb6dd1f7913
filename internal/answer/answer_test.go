package answer

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess"
)

var requests = map[string]struct {
	method, path string
	header       http.Header
	page         bool
}{
	"app":                       {http.MethodGet, "/photos", nil, false},
	"navigation":                {http.MethodGet, "/photos", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, true},
	"navigation, HEAD":          {http.MethodHead, "/photos", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, true},
	"navigation over HTTP":      {http.MethodGet, "/photos", http.Header{"Accept": {"text/html,application/xhtml+xml"}}, true},
	"frame":                     {http.MethodGet, "/photos", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, false},
	"fetch that accepts HTML":   {http.MethodGet, "/photos", http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}}, false},
	"form":                      {http.MethodPost, "/photos", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, false},
	"API":                       {http.MethodGet, "/api/albums", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, false},
	"root of the API":           {http.MethodGet, "/api", http.Header{"Accept": {"text/html"}}, false},
	"upload that accepts HTML":  {http.MethodPost, "/api/assets", http.Header{"Accept": {"text/html"}}, false},
	"picture in a page":         {http.MethodGet, "/photos", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, false},
	"client that accepts any":   {http.MethodGet, "/", http.Header{"Accept": {"*/*"}}, false},
	"client that accepts JSON":  {http.MethodGet, "/", http.Header{"Accept": {"application/json"}}, false},
	"path that begins with api": {http.MethodGet, "/apis", http.Header{"Accept": {"text/html"}}, true},
}

func build(method, path string, header http.Header) *http.Request {
	r := httptest.NewRequest(method, "http://photos.example.com"+path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	return r
}

// lockedOut returns the handler's answer to a client that has tried too many keys.
func lockedOut(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	handler, err := immichaccess.New(t.Context(), http.NotFoundHandler(), &immichaccess.Config{
		Keys: []string{"phone:correct-horse-battery-staple"}, MaxWrongKeys: "1", WrongKeyWindow: "1m",
	}, "test")
	if err != nil {
		t.Fatal(err)
	}
	wrong := httptest.NewRequest(http.MethodGet, "/", nil)
	wrong.Header.Set("X-Access-Key", "wrong")
	handler.ServeHTTP(httptest.NewRecorder(), wrong)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// The handler writes errors on its own. They are the same, as pages and as JSON, to the byte.
func TestErrorsMatchTheHandlers(t *testing.T) {
	t.Parallel()
	for name, c := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs := lockedOut(t, build(c.method, c.path, c.header))
			if isPage := strings.HasPrefix(theirs.Header().Get("Content-Type"), "text/html"); isPage != c.page {
				t.Errorf("the handler answers with a page: %v", isPage)
			}
			message, advice := "Too many wrong access keys; try again later", ""
			if c.page {
				message, advice = "Too many wrong keys", "Try again in a minute."
			}
			ours := httptest.NewRecorder()
			Error(ours, build(c.method, c.path, c.header), http.StatusTooManyRequests, message, advice)
			wantSame(t, ours, theirs)
		})
	}
}

func wantSame(t *testing.T, ours, theirs *httptest.ResponseRecorder) {
	t.Helper()
	if ours.Code != theirs.Code || ours.Body.String() != theirs.Body.String() {
		t.Errorf("%d %s\nthe handler: %d %s", ours.Code, ours.Body, theirs.Code, theirs.Body)
	}
	theirs.Header().Del("Retry-After")
	for name := range theirs.Header() {
		if got, want := ours.Header().Get(name), theirs.Header().Get(name); got != want {
			t.Errorf("%s: %q, the handler's is %q", name, got, want)
		}
	}
	for name := range ours.Header() {
		if theirs.Header()[name] == nil {
			t.Errorf("the handler has no %s", name)
		}
	}
}

// The phrases for statuses are NestJS's.
func TestPhrases(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{400: "Bad Request", 413: "Payload Too Large", 421: "Misdirected Request", 499: "Client Closed Request", 502: "Bad Gateway"} {
		w := httptest.NewRecorder()
		Error(w, build(http.MethodGet, "/", nil), status, "a message", "some advice")
		var got struct {
			Message, Error string
			StatusCode     int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Error != want || got.StatusCode != status || got.Message != "a message" {
			t.Errorf("%d is %+v", status, got)
		}
	}
}
