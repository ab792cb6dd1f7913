package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/traefik/paerser/types"
)

// Programs get errors in the format of Immich's own, and browsers a page that says what to do.
func TestUpstreamErrors(t *testing.T) {
	t.Parallel()
	closing := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(closing.Close)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)

	for name, c := range map[string]struct {
		upstream string
		status   int
		answer   string
		page     []string
	}{
		"no connection": {
			upstream: "http://" + unusedAddress,
			status:   http.StatusBadGateway,
			answer:   `{"message":"Immich does not answer","error":"Bad Gateway","statusCode":502}`,
			page:     []string{"<h1>Immich does not answer</h1>", "It may be starting; try again in a minute."},
		},
		"closed connection": {
			upstream: closing.URL,
			status:   http.StatusBadGateway,
			answer:   `{"message":"Immich closed the connection","error":"Bad Gateway","statusCode":502}`,
			page:     []string{"<h1>Immich closed the connection</h1>", "try again in a minute."},
		},
		"no answer": {
			upstream: hanging.URL,
			status:   http.StatusGatewayTimeout,
			answer:   `{"message":"Immich did not answer in time","error":"Gateway Timeout","statusCode":504}`,
			page:     []string{"<h1>Immich did not answer in time</h1>", "It may be busy; try again in a minute."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := open(t, func(s *config.Settings) {
				s.Upstreams = []string{c.upstream}
				s.Timeouts.Upstream = types.Duration(100 * time.Millisecond)
			})
			client := &http.Client{Transport: protocols["HTTP/2"](t)}
			if status, answer := get(t, client, a.url("/photos")); status != c.status || answer != c.answer {
				t.Errorf("a program gets %d %s", status, answer)
			}
			if status, contentType, answer := navigate(t, client, a.url("/api/assets")); status != c.status || contentType != "application/json; charset=utf-8" || answer != c.answer {
				t.Errorf("the API answers with %d %s %s", status, contentType, answer)
			}
			status, contentType, answer := navigate(t, client, a.url("/photos"))
			if status != c.status || contentType != "text/html; charset=utf-8" {
				t.Errorf("a browser gets %d %s", status, contentType)
			}
			for _, want := range c.page {
				if !strings.Contains(answer, want) {
					t.Errorf("%q is not in the page:\n%s", want, answer)
				}
			}
		})
	}
}

// navigate requests a page as a browser does.
func navigate(t *testing.T, client *http.Client, url string) (status int, contentType, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("X-Access-Key", key)
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Content-Type"), string(answer)
}

// unusedAddress is an address on which nothing listens. A port that was free a moment ago may be another test's by now.
const unusedAddress = "127.0.0.1:1"

// reservedAddress is for servers that end and start again: no other test takes their ports in between.
const reservedAddress = "127.0.0.2:0"

// namedServer is an Immich that responds with its name, and keeps what it receives.
type namedServer struct {
	*http.Server

	address string
}

func startNamed(t *testing.T, name, address string) namedServer {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := namedServer{address: l.Addr().String(), Server: &http.Server{
		ReadHeaderTimeout: patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name)
			if r.Method == http.MethodPost {
				n, _ := io.Copy(io.Discard, r.Body)
				_, _ = fmt.Fprintf(w, " has %d bytes", n)
			}
		}),
	}}
	s.SetKeepAlivesEnabled(false) // so that a stopped one can't be reached at all
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSeveralUpstreams(t *testing.T) {
	t.Parallel()
	servers := map[string]namedServer{"a": startNamed(t, "a", reservedAddress), "b": startNamed(t, "b", reservedAddress)}
	a := open(t, func(s *config.Settings) {
		s.Upstreams = []string{"http://" + servers["a"].address, "http://" + servers["b"].address}
	})
	client := &http.Client{Transport: protocols["HTTP/2"](t)}

	_, first := get(t, client, a.url("/"))
	for range 20 {
		if _, name := get(t, client, a.url("/")); name != first {
			t.Fatalf("the client was sent from %s to %s", first, name)
		}
	}

	_ = servers[first].Close()
	_, second := get(t, client, a.url("/"))
	if second == first || second == "" {
		t.Fatalf("%q answers, though %q has stopped", second, first)
	}

	_ = servers[second].Close()
	if status, _ := get(t, client, a.url("/")); status != http.StatusBadGateway {
		t.Errorf("status %d without any server", status)
	}

	startNamed(t, first, servers[first].address)
	waitFor(t, first+" to be found again", func() bool {
		_, name := get(t, client, a.url("/"))
		return name == first
	})
}

// An upload to a server that has just stopped is sent whole to the other one.
func TestUploadsFindTheOtherServer(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		servers := map[string]namedServer{"a": startNamed(t, "a", reservedAddress), "b": startNamed(t, "b", reservedAddress)}
		a := open(t, func(s *config.Settings) {
			s.Upstreams = []string{"http://" + servers["a"].address, "http://" + servers["b"].address}
		})
		_, first := get(t, client, a.url("/"))
		_ = servers[first].Close()
		status, answer := send(t, client, http.MethodPost, a.url("/"), fakeimmich.Content(size))
		other := map[string]string{"a": "b", "b": "a"}[first]
		if want := fmt.Sprintf("%s has %d bytes", other, size); status != http.StatusOK || answer != want {
			t.Errorf("%d %q, want %q", status, answer, want)
		}
	})
}

// A connection that Immich closes for one request does not make the server unhealthy for others.
func TestClosedConnectionLeavesTheServerHealthy(t *testing.T) {
	t.Parallel()
	fragile := func() string {
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/break" {
				panic(http.ErrAbortHandler)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	a := open(t, func(s *config.Settings) { s.Upstreams = []string{fragile(), fragile()} })
	client := &http.Client{Transport: protocols["HTTP/2"](t)}
	for range 3 {
		if status, answer := get(t, client, a.url("/break")); status != http.StatusBadGateway {
			t.Errorf("%d %s", status, answer)
		}
		if status, answer := get(t, client, a.url("/photos")); status != http.StatusOK {
			t.Errorf("%d %s", status, answer)
		}
	}
}

// A GET with a body is not repeated once it was sent, since it may have had an effect. One without a body is sent to the next
// server.
func TestGetWithABodyIsNotRepeated(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	closing := func() string {
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/break" {
				requests.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				panic(http.ErrAbortHandler)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	a := open(t, func(s *config.Settings) { s.Upstreams = []string{closing(), closing()} })
	client := &http.Client{Transport: protocols["HTTP/1.1"](t)}
	for body, repeated := range map[string]bool{"": true, "a body": false} {
		requests.Store(0)
		if status, answer := send(t, client, http.MethodGet, a.url("/break"), strings.NewReader(body)); status != http.StatusBadGateway {
			t.Errorf("%d %s", status, answer)
		}
		if got := requests.Load(); got < 1 || (got > 1) != repeated { // more than two if a connection was reused
			t.Errorf("with the body %q there were %d requests", body, got)
		}
	}
}
