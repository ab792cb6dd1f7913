package immichaccess

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "0k": 0, "000": 0, "1": 1, "1048576": 1 << 20, "007": 7,
		"1k": 1 << 10, "1K": 1 << 10, "1m": 1 << 20, "1M": 1 << 20, "1g": 1 << 30, "1G": 1 << 30,
		"512k": 512 << 10, "50000M": 50000 << 20, "50g": 50 << 30,
		"9223372036854775807": math.MaxInt64, "9007199254740991k": math.MaxInt64 - 1<<10 + 1, "8589934591g": math.MaxInt64 - 1<<30 + 1,
	} {
		if got, ok := sizeInBytes(text); !ok || got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range append(wrongSizes, "") {
		if got, ok := sizeInBytes(text); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}

var sizeForm = regexp.MustCompile(`^([0-9]+)([kKmMgG]?)$`)

// A size is what its digits and unit say, or an error.
func FuzzParseSize(f *testing.F) {
	for _, text := range wrongSizes {
		f.Add(text)
	}
	for _, text := range []string{
		"", "0", "00", "1", "50000M", "50g", "512k", "9223372036854775807", "8589934591g", "8796093022207M", "8796093022208M",
		"18446744073709551616", "18014398509481984k", "1K", "k1", "1\x00", "-0", "0g", "1 k", "1G\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := sizeInBytes(text)
		want, fits := bigSize(text)
		if ok != fits || got != want {
			t.Errorf("%q is %d, %v, want %d, %v", text, got, ok, want, fits)
		}
	})
}

// bigSize reads a size with numbers of any length.
func bigSize(text string) (int64, bool) {
	parts := sizeForm.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	size, _ := new(big.Int).SetString(parts[1], 10)
	for range strings.Index(" kmg", strings.ToLower(parts[2] + " ")[:1]) {
		size.Mul(size, big.NewInt(1024))
	}
	if !size.IsInt64() {
		return 0, false
	}
	return size.Int64(), true
}

func TestLimitedBody(t *testing.T) {
	t.Parallel()
	const limit = 1000
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"at once":       func(r io.Reader) io.Reader { return r },
		"byte by byte":  iotest.OneByteReader,
		"half by half":  iotest.HalfReader,
		"end with data": iotest.DataErrReader,
	} {
		for size, over := range map[int]bool{0: false, 1: false, limit - 1: false, limit: false, limit + 1: true, 100 * limit: true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				content := strings.Repeat("x", size)
				body := &limitedBody{body: io.NopCloser(reader(strings.NewReader(content))), limit: limit, left: limit}
				got, err := io.ReadAll(body)
				var tooLarge *http.MaxBytesError
				switch {
				case !over && (err != nil || string(got) != content || body.over != 0):
					t.Errorf("of %d bytes %d, %v, over %d", size, len(got), err, body.over)
				case over && (!errors.As(err, &tooLarge) || tooLarge.Limit != limit || len(got) > limit || body.over != 1):
					t.Errorf("of %d bytes %d, %v, over %d", size, len(got), err, body.over)
				}
				if n, err := body.Read(make([]byte, 10)); over && (n != 0 || !errors.As(err, &tooLarge)) {
					t.Errorf("after the error: %d bytes, %v", n, err)
				}
			})
		}
	}
}

// A body that fails for another reason is not reported as too large, and it is closed.
func TestLimitedBodyPassesErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	source, writer := io.Pipe()
	writer.CloseWithError(broken)
	body := &limitedBody{body: source, limit: 10, left: 10}
	if _, err := io.ReadAll(body); !errors.Is(err, broken) || body.over != 0 {
		t.Errorf("%v, over %d", err, body.over)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := source.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the body is not closed: %v", err)
	}
}

// statuses records all that is written, as a client sees it.
type statuses struct {
	*httptest.ResponseRecorder
	seen []int
}

func (s *statuses) WriteHeader(status int) {
	s.seen = append(s.seen, status)
	if status >= 200 {
		s.ResponseRecorder.WriteHeader(status)
	}
}

func upload(length int64, body string) *http.Request {
	r := newRequest(http.Header{"Content-Type": {"multipart/form-data; boundary=b"}})
	r.Method, r.ContentLength, r.Body = http.MethodPost, length, io.NopCloser(strings.NewReader(body))
	return r
}

// Responses to uploads of unknown length.
func TestAnswersToUploads(t *testing.T) {
	t.Parallel()
	const limit = "1k"
	right, over := strings.Repeat("x", 1024), strings.Repeat("x", 1025)
	drain := func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	reply := func(w http.ResponseWriter, status int) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "Immich says. ")
	}
	after := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { drain(r); reply(w, status) }
	}
	before := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			reply(w, status)
			drain(r)
			_, _ = io.WriteString(w, "And goes on.")
		}
	}
	interim := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		drain(r)
		w.WriteHeader(http.StatusProcessing)
		reply(w, http.StatusBadGateway)
	}
	const says, turned = "Immich says. ", "turned"
	for name, c := range map[string]struct {
		next http.HandlerFunc
		body string
		seen []int
		text string
	}{
		"created":                               {after(201), right, []int{201}, says},
		"failure of the proxy":                  {after(500), right, []int{500}, says},
		"failure of Immich":                     {after(502), right, []int{502}, says},
		"over: failure of the proxy":            {after(500), over, []int{413}, turned},
		"over: failure of Immich":               {after(502), over, []int{413}, turned},
		"over: gateway timeout":                 {after(504), over, []int{413}, turned},
		"over: Immich's own error":              {after(400), over, []int{400}, says},
		"over: client closed":                   {after(499), over, []int{499}, says},
		"early answer":                          {before(200), right, []int{200}, says + "And goes on."},
		"over: early answer":                    {before(200), over, []int{200}, says + "And goes on."},
		"early failure, not yet over":           {before(503), over, []int{503}, says + "And goes on."},
		"interim answers":                       {interim, right, []int{103, 102, 502}, says},
		"over: interim answers":                 {interim, over, []int{103, 102, 413}, turned},
		"answer without a WriteHeader":          {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, says) }, right, nil, says},
		"over: without an error of the proxy's": {func(w http.ResponseWriter, r *http.Request) { drain(r); _, _ = io.WriteString(w, says) }, over, nil, says},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &statuses{ResponseRecorder: httptest.NewRecorder()}
			newTestHandler(t, &Config{RequireKey: "false", MaxUploadSize: limit}, c.next).ServeHTTP(w, upload(-1, c.body))
			if !slices.Equal(w.seen, c.seen) {
				t.Errorf("the statuses are %v, want %v", w.seen, c.seen)
			}
			if c.text != turned {
				if got := w.Body.String(); got != c.text || !w.Flushed {
					t.Errorf("the body is %q, want %q; flushed: %v", got, c.text, w.Flushed)
				}
				return
			}
			want := errorBody{Message: "The upload is larger than 1k", Error: "Payload Too Large", StatusCode: 413}
			var got errorBody
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got != want {
				t.Errorf("the answer is %s, %v", w.Body, err)
			}
		})
	}
}

// A 413 that replaces another response has none of its headers.
func TestReplacedResponseLosesItsHeaders(t *testing.T) {
	t.Parallel()
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified", "Content-Length", "Content-Type"} {
			w.Header().Set(name, "of Immich")
		}
		w.WriteHeader(http.StatusBadGateway)
	})
	w := ask(newTestHandler(t, &Config{RequireKey: "false", MaxUploadSize: "1k"}, next), upload(-1, strings.Repeat("x", 1025)))
	for name, values := range w.Header() {
		if slices.Contains(values, "of Immich") {
			t.Errorf("%s is %q", name, values)
		}
	}
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", w.Code)
	}
}

// Over HTTP/3, a download has a body of unknown length: its response is unchanged, and the body is limited.
func TestDownloadOfUnknownLength(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for size, over := range map[int]bool{0: false, 1024: false, 1025: true} {
			next := &recorder{}
			handler := newTestHandler(t, &Config{RequireKey: "false", MaxUploadSize: "1k"}, next)
			r, w := upload(-1, strings.Repeat("x", size)), httptest.NewRecorder()
			r.Method = method
			handler.ServeHTTP(w, r)
			if next.w != w {
				t.Errorf("%s: the writer is %T", method, next.w)
			}
			if got, err := io.ReadAll(next.r.Body); (err != nil) != over || !over && len(got) != size {
				t.Errorf("%s: of %d bytes %d, %v", method, size, len(got), err)
			}
		}
	}
}

// TestUploadsDoNotUpgrade forwards them without Upgrade, and a request without a body with it.
func TestUploadsDoNotUpgrade(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{-1, 0, 1} {
		next := &recorder{}
		handler := newTestHandler(t, &Config{RequireKey: "false"}, next)
		r := upload(length, "x"[:length*length])
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if got := next.r.Header["Upgrade"] != nil; got != (length == 0) {
			t.Errorf("length %d: forwarded with Upgrade: %t", length, got)
		}
	}
}

// A client's ResponseWriter without http.Flusher gets the response, too.
func TestAnswerWithoutFlusher(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	newTestHandler(t, &Config{RequireKey: "false"}, next).ServeHTTP(struct{ http.ResponseWriter }{w}, upload(-1, "x"))
	if w.Body.String() != "hello" {
		t.Errorf("the body is %q", w.Body)
	}
}

// An upload that needs no counting reaches next unchanged, and so costs nothing; one that is too large does not reach it.
func TestUploadOfKnownLength(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit  string
		length int64
		status int
		same   bool
	}{
		"known length":                {"1k", 1023, 200, true},
		"exactly the limit":           {"1k", 1024, 200, true},
		"one byte more":               {"1k", 1025, 413, false},
		"far more":                    {"1k", math.MaxInt64, 413, false},
		"unknown length":              {"1k", -1, 200, false},
		"no limit":                    {"0", math.MaxInt64, 200, true},
		"no limit, unknown length":    {"0", -1, 200, true},
		"no limit in unit":            {"0g", -1, 200, true},
		"limit with blanks around it": {" 1k\n", 1025, 413, false},
	} {
		for way, peer := range map[string]string{"direct": "192.0.2.1:1234", "through a trusted proxy": "10.0.0.1:1234"} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				next := &recorder{}
				handler := newTestHandler(t, &Config{RequireKey: "false", MaxUploadSize: c.limit, TrustedProxies: []string{"10.0.0.1"}}, next)
				r, w := upload(c.length, ""), httptest.NewRecorder()
				r.RemoteAddr = peer
				body := r.Body
				handler.ServeHTTP(w, r)
				if w.Code != c.status || (c.status == 200) != (next.r != nil) {
					t.Fatalf("status %d, want %d; the request %v has reached next", w.Code, c.status, next.r)
				}
				if next.r != nil && (next.r.Body == body && next.w == w) != c.same {
					t.Errorf("the body is %T, the writer %T", next.r.Body, next.w)
				}
			})
		}
	}
}

// The entry point's readTimeout is reported once, at the first upload.
func TestReadTimeoutWarning(t *testing.T) {
	const form, file = "multipart/form-data; boundary=b", "application/octet-stream"
	for name, c := range map[string]struct {
		readTimeout time.Duration
		config      Config
		types       []string
		want        []string
	}{
		"uploads":                    {time.Minute, Config{RequireKey: "false"}, []string{form, form, form}, []string{"longer than 1m0s: in Traefik's static configuration, set entryPoints.NAME.transport.respondingTimeouts.readTimeout to 0"}},
		"first upload comes late":    {time.Minute, Config{RequireKey: "false"}, []string{file, "", form}, []string{"longer than 1m0s"}},
		"through a trusted proxy":    {time.Hour, Config{RequireKey: "false", TrustedProxies: []string{"loopback"}}, []string{form, form}, []string{"longer than 1h0m0s"}},
		"no limit":                   {time.Minute, Config{RequireKey: "false", MaxUploadSize: "0"}, []string{form}, []string{"longer than 1m0s"}},
		"no timeout":                 {0, Config{RequireKey: "false"}, []string{form, form}, nil},
		"turned off":                 {-1, Config{RequireKey: "false"}, []string{form}, nil},
		"no uploads":                 {time.Minute, Config{RequireKey: "false"}, []string{file, "", "application/json", "text/x-multipart/"}, nil},
		"upload that is turned away": {time.Minute, Config{Keys: []string{rightKey}}, []string{form}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(newTestHandler(t, &c.config, &recorder{}))
			server.Config.ReadTimeout = c.readTimeout
			server.Start()
			defer server.Close()
			wantLines(t, logLines(func() {
				for _, contentType := range c.types {
					response, err := http.Post(server.URL, contentType, strings.NewReader("--b--"))
					if err != nil {
						t.Fatal(err)
					}
					response.Body.Close()
				}
			}), c.want...)
		})
	}
}

// A handler that runs without a server has no timeout to report.
func TestNoReadTimeoutWithoutServer(t *testing.T) {
	wantLines(t, logLines(func() { ask(newTestHandler(t, &Config{RequireKey: "false"}, &recorder{}), upload(1, "x")) }))
}

// Traefik's HTTP/3 server does not put itself into the context of its requests; without it, ReverseProxy would end a response
// that Immich has aborted as if it were complete.
func TestHTTP3ResponsesCanBeAborted(t *testing.T) {
	t.Parallel()
	config := CreateConfig()
	config.Keys = []string{"phone:correct-horse-battery-staple"}
	var broken bool
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		broken = r.Context().Value(http.ServerContextKey) != nil
	})
	handler, err := New(t.Context(), next, config, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := httptest.NewRequest(method, "/api/download/archive", nil)
		r.ProtoMajor, broken = 3, false
		r.Header.Set("X-Access-Key", "correct-horse-battery-staple")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if !broken {
			t.Errorf("%s: there is no server in the context", method)
		}
	}
}
