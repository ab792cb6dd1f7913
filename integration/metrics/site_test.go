// Package metrics_test has a real Prometheus collect the metrics of the standalone proxy, configured as the documentation says, and
// evaluates with it the queries of the Grafana dashboard and the alerting rules.
package metrics_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	key      = "correct-horse-battery-staple"
	examples = "../../examples/grafana/"
	page     = "../../docs/metrics.md"
)

// site is the standalone proxy with all its listeners, in front of a fake Immich, and Prometheus.
type site struct {
	immich                       *httptest.Server
	https, plain, keyless, admin string
	prometheus                   string
	proxy                        *harness.Process
	client                       *http.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		immich: newImmich(t),
		https:  harness.FreeAddress(t), plain: harness.FreeAddress(t), keyless: harness.FreeAddress(t), admin: harness.FreeAddress(t),
		prometheus: harness.FreeAddress(t), client: harness.Client(t, harness.HTTP1),
	}
	s.startProxy(t)
	s.startPrometheus(t)
	return s
}

// newImmich returns a fake Immich that closes the connection on a request for /broken.
func newImmich(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = fakeimmich.New().HTTPServer()
	handler := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	})
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func (s *site) startProxy(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	harness.WriteCertificate(t, certFile, keyFile)
	config := filepath.Join(dir, "immichaccess.yml")
	harness.WriteFile(t, config, edit(t, documented(t, "yaml"), ":9091", s.admin))
	s.proxy = harness.Start(t, harness.Binary(t), "--configFile="+config, "--upstreams="+s.immich.URL, "--access.keys=phone:"+key, "--access.maxUploadSize=1m",
		"--listen.https="+s.https, "--listen.http=", "--listen.plain="+s.plain, "--listen.keyless="+s.keyless,
		"--tls.certFile="+certFile, "--tls.keyFile="+keyFile)
	s.proxy.AwaitListening(t, s.https, s.plain, s.keyless, s.admin)
}

// documented returns the block of a language that the documentation has.
func documented(t *testing.T, language string) string {
	t.Helper()
	block := regexp.MustCompile("(?ms)^   ```" + language + "\n(.*?)^   ```$").FindStringSubmatch(harness.ReadFile(t, page))
	if block == nil {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return regexp.MustCompile("(?m)^   ").ReplaceAllString(block[1], "")
}

// startPrometheus uses the example configuration, with another address of the proxy and shorter intervals.
func (s *site) startPrometheus(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, "alerts.yml"), harness.ReadFile(t, examples+"alerts.yml"))
	config := filepath.Join(dir, "prometheus.yml")
	harness.WriteFile(t, config, edit(t, harness.ReadFile(t, examples+"prometheus.yml"), "127.0.0.1:9091", s.admin, "15s", "1s"))
	harness.Start(t, harness.Tool(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+s.prometheus, "--log.level=warn").AwaitListening(t, s.prometheus)
	harness.Await(t, "Prometheus", func() bool {
		response, err := http.Get("http://" + s.prometheus + "/-/ready")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	})
}

// edit replaces what a test can't use as it is.
func edit(t *testing.T, text string, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("there is no %q in\n%s", oldnew[i], text)
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

// openWebSocket keeps one open until the test ends.
func (s *site) openWebSocket(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, "https://"+s.https+"/api/socket.io/?transport=websocket&EIO=4",
		&websocket.DialOptions{HTTPClient: s.client, HTTPHeader: http.Header{"X-Access-Key": {key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.CloseNow() })
}

// sendTraffic makes one request of each kind that the dashboard distinguishes.
func (s *site) sendTraffic(t *testing.T) {
	t.Helper()
	const ping = "/api/server/ping"
	s.send(t, http.MethodGet, "https://"+s.https+ping, key, 0, http.StatusOK)
	s.send(t, http.MethodGet, "http://"+s.plain+ping, key, 0, http.StatusOK)
	s.send(t, http.MethodGet, "https://"+s.keyless+ping, "", 0, http.StatusOK)
	s.send(t, http.MethodGet, "https://"+s.https+ping, "", 0, http.StatusForbidden)
	s.send(t, http.MethodPost, "https://"+s.https+"/api/users/profile-image", key, 100, 0)
	s.send(t, http.MethodPost, "https://"+s.https+"/api/assets", key, 2<<20, http.StatusRequestEntityTooLarge)
	s.send(t, http.MethodGet, "https://"+s.https+"/broken", key, 0, http.StatusBadGateway)
	s.disconnect(t)
}

// send requires a status, unless that is 0.
func (s *site) send(t *testing.T, method, url, key string, size, status int) {
	t.Helper()
	var body io.Reader
	if size > 0 {
		body = bytes.NewReader(make([]byte, size))
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("X-Access-Key", key)
	}
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if status != 0 && response.StatusCode != status {
		t.Errorf("%s %s: %s", method, url, response.Status)
	}
}

// disconnect ends a download before its end.
func (s *site) disconnect(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.https+"/api/assets/1/original?size=1000000000", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Access-Key", key)
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

// ask sends a request to Prometheus's API.
func (s *site) ask(t *testing.T, path string, query url.Values, data any) {
	t.Helper()
	response, err := http.Get("http://" + s.prometheus + "/api/v1/" + path + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
		t.Fatalf("%s %s: %v %s", path, query, err, answer.Error)
	}
}

// sample is a value of a query's result.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and value
}

func (s *site) query(t *testing.T, expression string) []sample {
	t.Helper()
	var data struct{ Result []sample }
	s.ask(t, "query", url.Values{"query": {expression}}, &data)
	return data.Result
}

func (s sample) String() string {
	return fmt.Sprint(s.Metric, " ", s.Value[1])
}

// whileSending waits for a condition, with traffic all the time, so that counters rise between any two scrapes.
func (s *site) whileSending(t *testing.T, what string, done func() bool) {
	t.Helper()
	var next time.Time
	harness.Await(t, what, func() bool {
		if time.Now().After(next) {
			s.sendTraffic(t)
			next = time.Now().Add(200 * time.Millisecond)
		}
		return done()
	})
}
