package immichaccess

import (
	"bytes"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	rightKey = "correct-horse-battery-staple"
	otherKey = "tr0ub4dor-and-three-more"
	// rightDigest is the SHA-256 digest of rightKey.
	rightDigest = "87cbebfeebc05f7c54ac9336c4b4bbec831227a641951a4bde7edd56020f8590"
)

// newTestHandler returns the handler under test.
func newTestHandler(t *testing.T, config *Config, next http.Handler) http.Handler {
	t.Helper()
	handler, err := New(t.Context(), next, config, "test")
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// recorder is a next handler that records the request that reaches it.
type recorder struct {
	w http.ResponseWriter
	r *http.Request
}

func (k *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.w, k.r = w, r
}

// newRequest returns a GET request of a client without a proxy.
func newRequest(header http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://photos.example.com/api/albums", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	if header != nil {
		r.Header = header.Clone()
	}
	return r
}

func withKey(key string) *http.Request {
	return newRequest(http.Header{"X-Access-Key": {key}})
}

func ask(handler http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func wantAccess(t *testing.T, handler http.Handler, key string, want bool) {
	t.Helper()
	status := http.StatusForbidden
	if want {
		status = http.StatusOK
	}
	if got := ask(handler, withKey(key)).Code; got != status {
		t.Errorf("the key %q gets %d, want %d", key, got, status)
	}
}

// logLines returns what goes to package log while do runs. The log is global, so a test that calls this is not parallel.
func logLines(do func()) []string {
	var out bytes.Buffer
	before, flags := log.Writer(), log.Flags()
	log.SetOutput(&out)
	log.SetFlags(0)
	defer func() {
		log.SetOutput(before)
		log.SetFlags(flags)
	}()
	do()
	log.SetOutput(before) // from here on nothing writes to out
	return strings.FieldsFunc(out.String(), func(c rune) bool { return c == '\n' })
}

// wantLines wants a line for each text that is wanted, in order, that contains it.
func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d log lines, want %d: %q", len(got), len(want), got)
	}
	for i, line := range got {
		if !strings.Contains(line, want[i]) {
			t.Errorf("log line %q, want %q in it", line, want[i])
		}
	}
	wantNoSecret(t, strings.Join(got, "\n"))
}

// wantNoSecret looks for pieces, since an invalid secret may be shown in parts.
func wantNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, piece := range []string{"correct-horse", "battery-staple", "tr0ub4dor", rightDigest[:12]} {
		if strings.Contains(strings.ToLower(text), piece) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}
