package immichaccess

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// denied are requests that denyingConfig denies, and the resulting log lines. They are full of the secrets that wantNoSecret
// looks for.
var denied = map[string]struct {
	method string // GET unless given
	path   string // /api/albums unless given
	peer   string // 192.0.2.1:1234 unless given
	header http.Header
	length int64
	want   string // in the line, after "immichaccess: test: "
}{
	"no key":       {want: `denied client=192.0.2.1 method=GET path=/api/albums reason="no key"`},
	"empty key":    {header: http.Header{"X-Access-Key": {""}}, want: `reason="wrong key"`},
	"wrong key":    {header: http.Header{"X-Access-Key": {rightKey + "?"}}, want: `method=GET path=/api/albums reason="wrong key"`},
	"several keys": {header: http.Header{"X-Access-Key": {rightKey, rightKey}}, want: `reason="several keys"`},
	"comma list":   {header: http.Header{"X-Access-Key": {rightKey + "," + otherKey}}, want: `reason="wrong key"`},
	"key in the name of another header": {header: http.Header{"Authorization": {"Bearer " + rightKey}, "Cookie": {"key=" + rightKey}, "Referer": {"http://a/?key=" + rightKey}},
		want: `reason="no key"`},
	"expired key":        {header: http.Header{"X-Access-Key": {otherKey}}, want: `path=/api/albums reason="expired key" key=old`},
	"method not allowed": {method: "DELETE", header: http.Header{"X-Access-Key": {"the-key-of-the-reader"}}, want: `method=DELETE path=/api/albums reason="method not allowed for this key" key=reader`},
	"too large":          {method: "POST", header: http.Header{"X-Access-Key": {rightKey}}, length: 1025, want: `denied client=192.0.2.1 method=POST path=/api/albums reason="upload larger than 1k"`},

	"IPv6":                    {peer: "[2001:db8::1]:80", want: "client=2001:db8::1 method"},
	"zone":                    {peer: "[fe80::1%eth0]:80", want: "client=fe80::1 method"},
	"behind a trusted proxy":  {peer: "10.0.0.1:80", header: http.Header{"X-Forwarded-For": {"6.6.6.6, 203.0.113.9"}}, want: "client=203.0.113.9 method"},
	"trusted proxy":           {peer: "10.0.0.1:80", want: "client=10.0.0.1 method"},
	"forged address":          {header: http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Real-Ip": {"6.6.6.6"}}, want: "client=192.0.2.1 method"},
	"no address":              {peer: "@", want: "client=unknown method"},
	"too large, through one":  {peer: "10.0.0.1:80", header: http.Header{"X-Access-Key": {rightKey}, "X-Forwarded-For": {"203.0.113.9"}}, length: 1025, want: `client=203.0.113.9 method=GET path=/api/albums reason="upload`},
	"too large, no address":   {peer: "@", header: http.Header{"X-Access-Key": {rightKey}}, length: 1025, want: `client=unknown method=GET path=/api/albums reason="upload`},
	"too large, forged":       {header: http.Header{"X-Access-Key": {rightKey}, "X-Real-Ip": {"6.6.6.6"}}, length: 1025, want: "client=192.0.2.1 method"},
	"dots before a link":      {path: "/x/.././share/" + rightKey, want: `path=/share/**** reason`},
	"shared link":             {path: "/share/" + rightKey, want: `path=/share/**** reason`},
	"photo of a shared link":  {path: "/share/" + rightKey + "/photos/" + rightDigest, want: `path=/share/**** reason`},
	"slug of a shared link":   {path: "/s/" + rightKey, want: `path=/s/**** reason`},
	"list of shared links":    {path: "/shared-links", want: `path=/shared-links reason`},
	"no shared link":          {path: "/api/share/1", want: `path=/api/share/1 reason`},
	"settings":                {path: "/settings/s/", want: `path=/settings/s/ reason`},
	"quotes in the path":      {path: `/" reason="none`, want: `path="/\" reason=\"none" reason="no key"`},
	"equals sign in the path": {path: "/client=6.6.6.6", want: `path="/client=6.6.6.6" reason`},
	"space in the path":       {path: "/ ", want: `path="/ " reason`},
	"backslash in the path":   {path: `/a\b`, want: `path=/a\b reason`},
	"line ends in the path":   {path: "/a\r\nimmichaccess: test: denied\x1b[2J", want: `path="/a\r\nimmichaccess: test: denied\x1b[2J" reason`},
	"line of another kind":    {path: "/a\u2028b\u202e", want: `path="/a\u2028b\u202e" reason`},
	"bytes that are no text":  {path: "/\xff\x00", want: `path="/\xff\x00" reason`},
	"200 bytes of path":       {path: "/" + strings.Repeat("a", 199), want: `path=/` + strings.Repeat("a", 199) + ` reason`},
	"long path":               {path: "/" + strings.Repeat("a", 64<<10), want: `path=/` + strings.Repeat("a", 199) + `… reason`},
	"line ends in the method": {method: "GET\nX", want: `method="GET\nX" path`},
	"long method":             {method: strings.Repeat("M", 1000), want: `method=` + strings.Repeat("M", 200) + `… path`},
}

func denyingConfig() *Config {
	return &Config{
		Keys: []string{
			"phone:" + rightKey,
			"old:" + otherKey + " expires=2020-01-31",
			"reader:the-key-of-the-reader methods=GET",
		},
		MaxUploadSize:  "1k",
		TrustedProxies: []string{"10.0.0.0/8"},
		LogDenied:      true,
	}
}

func TestDenialLine(t *testing.T) {
	for name, c := range denied {
		t.Run(name, func(t *testing.T) {
			var handler http.Handler
			logLines(func() { handler = newTestHandler(t, denyingConfig(), &recorder{}) })
			r := newRequest(c.header)
			r.ContentLength = c.length
			r.Method, r.RemoteAddr = orDefault(c.method, "GET"), orDefault(c.peer, r.RemoteAddr)
			r.URL.Path = orDefault(c.path, r.URL.Path)
			r.URL.RawQuery, r.RequestURI = "key="+rightKey, r.URL.Path+"?key="+rightKey
			lines := logLines(func() { ask(handler, r.Clone(t.Context())) })
			wantLines(t, lines, c.want)
			if !strings.HasPrefix(lines[0], "immichaccess: test: denied client=") {
				t.Errorf("log line %q", lines[0])
			}

			// Without a name, the line goes to slog. Its text is the same.
			line := slogText(t, func() { ask(newUnnamedHandler(t, denyingConfig()), r.Clone(t.Context())) })
			if want := "level=WARN msg=" + strings.TrimPrefix(lines[0], "immichaccess: test: ") + "\n"; !strings.HasSuffix(line, want) {
				t.Errorf("slog writes %q, package log %q", line, lines[0])
			}
		})
	}
}

func newUnnamedHandler(t *testing.T, config *Config) http.Handler {
	t.Helper()
	handler, err := New(t.Context(), &recorder{}, config, "")
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// slogText returns what goes to slog's default logger while do runs. The logger is global, so a test that calls this is not
// parallel.
func slogText(t *testing.T, do func()) string {
	t.Helper()
	var out bytes.Buffer
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: withoutTime})))
	defer func() { // package log wrote to the logger as well
		slog.SetDefault(before)
		log.SetOutput(writer)
		log.SetFlags(flags)
	}()
	do()
	return out.String()
}

// An upload that exceeds the limit while it is sent is logged, too, once.
func TestDenialLineOfUnknownLength(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	lines := logLines(func() {
		ask(newTestHandler(t, &Config{RequireKey: "false", MaxUploadSize: "1k", LogDenied: true}, next), upload(-1, strings.Repeat("x", 1025)))
	})
	wantLines(t, lines, `denied client=192.0.2.1 method=POST path=/api/albums reason="upload larger than 1k"`)
}

func TestNoLines(t *testing.T) {
	t.Run("logDenied is false", func(t *testing.T) {
		handler := newTestHandler(t, &Config{Keys: []string{rightKey}, MaxUploadSize: "1k"}, &recorder{})
		wantLines(t, logLines(func() {
			ask(handler, newRequest(nil))
			r := withKey(rightKey)
			r.ContentLength = 1025
			ask(handler, r)
		}))
	})
	t.Run("nothing is denied", func(t *testing.T) {
		handler := newTestHandler(t, &Config{Keys: []string{rightKey}, LogDenied: true}, &recorder{})
		wantLines(t, logLines(func() { ask(handler, withKey(rightKey)) }))
	})
}

// At most ten lines a second are logged, and then how many were left out.
func TestDenialLinesAreBounded(t *testing.T) {
	lines := logLines(func() {
		synctest.Test(t, func(t *testing.T) {
			handler := newTestHandler(t, &Config{Keys: []string{rightKey}, LogDenied: true}, &recorder{})
			denials := func(count int) {
				for range count {
					ask(handler, newRequest(nil))
				}
			}
			denials(25)
			time.Sleep(time.Second - time.Nanosecond)
			denials(1)
			time.Sleep(time.Nanosecond)
			denials(10)
			time.Sleep(time.Hour)
			denials(1)
		})
	})
	var want []string
	for range linesPerSecond {
		want = append(want, "denied")
	}
	want = append(want, "immichaccess: test: 16 more requests were denied and not logged")
	for range linesPerSecond + 1 {
		want = append(want, "denied client")
	}
	wantLines(t, lines, want...)
}

// Responses have the format of Immich's own errors, and say what to do.
func TestDenialAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config Config
		header http.Header
		length int64
		status int
		body   string
	}{
		"no key":       {Config{Keys: []string{rightKey}}, nil, 0, 403, `{"message":"Missing or invalid access key (header X-Access-Key)","error":"Forbidden","statusCode":403}`},
		"other header": {Config{Keys: []string{rightKey}, KeyHeader: "X-Photo-Key"}, http.Header{"X-Access-Key": {rightKey}}, 0, 403, `{"message":"Missing or invalid access key (header X-Photo-Key)","error":"Forbidden","statusCode":403}`},
		"wrong key":    {Config{Keys: []string{rightKey}}, http.Header{"X-Access-Key": {otherKey}}, 0, 403, `{"message":"Missing or invalid access key (header X-Access-Key)","error":"Forbidden","statusCode":403}`},
		"too large":    {Config{RequireKey: "false", MaxUploadSize: "1k"}, nil, 1025, 413, `{"message":"The upload is larger than 1k","error":"Payload Too Large","statusCode":413}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(c.header)
			r.ContentLength = c.length
			w := ask(newTestHandler(t, &c.config, &recorder{}), r)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
			for header, want := range map[string]string{
				"Content-Type": "application/json; charset=utf-8", "Content-Length": fmt.Sprint(len(c.body)), "Cache-Control": "no-store",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
		})
	}
}

// The body of a denied request is not read, and the connection, on which it is still pending, is not reused.
func TestDeniedBodyIsNotRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config Config
		length int64
		major  int
		closes bool
	}{
		"no key":                 {Config{Keys: []string{rightKey}}, 10, 1, true},
		"no key, unknown length": {Config{Keys: []string{rightKey}}, -1, 1, true},
		"no key, no body":        {Config{Keys: []string{rightKey}}, 0, 1, false},
		"no key, HTTP/2":         {Config{Keys: []string{rightKey}}, 10, 2, false},
		"too large":              {Config{RequireKey: "false", MaxUploadSize: "1k"}, 1025, 1, true},
		"too large, HTTP/2":      {Config{RequireKey: "false", MaxUploadSize: "1k"}, 1025, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			touched := false
			r := newRequest(nil)
			r.ProtoMajor, r.ContentLength = c.major, c.length
			r.Body = io.NopCloser(readerFunc(func([]byte) (int, error) { touched = true; return 0, io.EOF }))
			w := httptest.NewRecorder()
			newTestHandler(t, &c.config, &recorder{}).ServeHTTP(w, r)
			if touched {
				t.Error("the body is read")
			}
			if got := w.Header().Get("Connection") == "close"; got != c.closes || w.Code < 400 {
				t.Errorf("status %d, the connection closes: %v", w.Code, got)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
