// Package denials tests how other programs read the log lines about denied requests: the example filters for fail2ban and
// CrowdSec, with the real programs, on lines of the real proxy and of the plugin.
package denials

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/rs/zerolog"
)

const (
	examples = "../../examples"

	attacker4 = "203.0.113.7"
	attacker6 = "2001:db8::7"
	owner     = "203.0.113.99"  // whose key has expired, and whose upload is too large
	framed    = "198.51.100.66" // whose address an attacker writes into paths

	// attempts are more than the jail and the scenario allow.
	attempts = 20
)

// request is a request that is denied.
type request struct {
	client, key, path string
	size              int
}

var (
	// attack is what two attackers send, in turn.
	attack = []request{
		{client: attacker4, path: "/"},
		{client: attacker6, key: "a-wrong-key", path: "/api/albums"},
		{client: attacker4, key: "a-wrong-key", path: "/a\" reason=\"none\" \\\" client=" + framed + " method=GET path=/ reason=\"no key\""},
		{client: attacker6, path: "/\ntime=2026-01-01T00:00:00Z level=WARN msg=denied client=" + framed + " method=GET path=/ reason=\"no key\""},
		{client: attacker4, key: "a-wrong-key", path: `/","message":"2026/01/01 00:00:00 immichaccess: x: denied client=` + framed + ` method=GET path=/ reason="no key"`},
		{client: attacker6, path: `/","client":"` + framed + `","method":"GET","path":"/","reason":"no key"`},
	}
	mistakes = []request{
		{client: owner, key: "correct-horse-battery-staple", path: "/api/albums"},
		{client: owner, key: "the-owner-has-another-key", path: "/api/assets", size: 2000},
	}
)

var options = immichaccess.Config{
	Keys:           []string{"old:correct-horse-battery-staple expires=2020-01-31", "owner:the-owner-has-another-key"},
	MaxUploadSize:  "1k",
	TrustedProxies: []string{"loopback"},
	MaxWrongKeys:   "1000",
	LogDenied:      true,
}

func (q request) build(t *testing.T, base string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+(&url.URL{Path: q.path}).EscapedPath(), strings.NewReader(strings.Repeat("x", q.size)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", q.client)
	if q.key != "" {
		r.Header.Set("X-Access-Key", q.key)
	}
	return r
}

// logs are the ways in which denials are logged.
var logs = map[string]func(t *testing.T) string{
	"proxy text":     func(t *testing.T) string { return proxyLog(t, "text") },
	"proxy JSON":     func(t *testing.T) string { return proxyLog(t, "json") },
	"Traefik common": func(t *testing.T) string { return traefikLog(t, withoutColour) },
	"Traefik JSON":   func(t *testing.T) string { return traefikLog(t, func(w io.Writer) io.Writer { return w }) },
}

// proxyLog returns the log of the standalone proxy.
func proxyLog(t *testing.T, format string) string {
	t.Helper()
	address := harness.FreeAddress(t)
	arguments := []string{
		"--upstreams=http://127.0.0.1:1", "--listen.https=" + address, "--listen.http=", "--log.format=" + format,
		"--access.keys=" + strings.Join(options.Keys, ","), "--access.maxUploadSize=1k", "--access.trustedProxies=loopback", "--access.maxWrongKeys=1000",
	}
	proxy := harness.Start(t, harness.Binary(t), arguments...)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: harness.Patience}
	t.Cleanup(client.CloseIdleConnections)
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	harness.Await(t, "the proxy", func() bool {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	send := func(requests []request) {
		for _, q := range requests {
			response, err := client.Do(q.build(t, "https://"+address))
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
	}
	send(mistakes)
	// No more than ten lines a second are written.
	harness.Await(t, "enough lines in the log", func() bool {
		send(attack)
		return countLines(proxy.Log.String(), attacker4) >= attempts && countLines(proxy.Log.String(), attacker6) >= attempts
	})
	return proxy.Log.String()
}

func countLines(text, client string) int {
	return strings.Count(text, "client="+client) + strings.Count(text, `"client":"`+client)
}

// traefikLog returns what Traefik logs for the plugin. In Traefik, the plugin's package log writes to a logger such as this
// one.
func traefikLog(t *testing.T, format func(io.Writer) io.Writer) string {
	t.Helper()
	var out strings.Builder
	logger := zerolog.New(format(&out)).With().Timestamp().Str("plugin", "plugin-immichaccess").
		Str("module", "github.com/immichaccess/immichaccess").Str("runtime", "").Logger()
	before := log.Writer()
	log.SetOutput(logger.Hook(zerolog.HookFunc(func(e *zerolog.Event, level zerolog.Level, _ string) {
		if level == zerolog.NoLevel {
			e.Str("level", "error")
		}
	})))
	defer log.SetOutput(before)

	for range attempts {
		ctx, cancel := context.WithCancel(t.Context())
		config := options
		handler, err := immichaccess.New(ctx, http.NotFoundHandler(), &config, "immich-key@file") // with a limit of its own on lines
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range append(attack, mistakes...) {
			r := q.build(t, "http://photos.example.com")
			r.RemoteAddr, r.RequestURI = "127.0.0.1:1234", r.URL.RequestURI()
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
		cancel()
	}
	return out.String()
}

func withoutColour(w io.Writer) io.Writer {
	return zerolog.ConsoleWriter{Out: w, TimeFormat: time.RFC3339, NoColor: true}
}

// run returns what a program prints.
func run(t *testing.T, path string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), path, arguments...)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", path, strings.Join(arguments, " "), err, output, &errors)
	}
	return string(output)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(text))
}

// wantAddresses wants the address of each attacker, and no other.
func wantAddresses(t *testing.T, got []string) {
	t.Helper()
	found := map[string]int{}
	for _, address := range got {
		found[address]++
	}
	for _, attacker := range []string{attacker4, attacker6} {
		if found[attacker] == 0 {
			t.Errorf("%s is not found", attacker)
		}
		delete(found, attacker)
	}
	if len(found) > 0 {
		t.Errorf("others are found: %v", found)
	}
}
