package fakeimmich

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const patience = 10 * time.Second

func start(t *testing.T) (*Server, string) {
	t.Helper()

	s := New()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)

	return s, server.URL
}

func get(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()

	return do(t, http.MethodGet, url, header, nil)
}

func do(t *testing.T, method, url string, header http.Header, body io.Reader) (*http.Response, string) {
	t.Helper()

	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()

	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}

	return response, string(text)
}

// wire is a connection on which a test writes its requests byte by byte.
type wire struct {
	net.Conn

	answers *bufio.Reader
}

func dial(t *testing.T, url string) wire {
	t.Helper()

	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}

	return wire{conn, bufio.NewReader(conn)}
}

func (c wire) send(t *testing.T, format string, args ...any) {
	t.Helper()

	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		t.Fatal(err)
	}
}

func (c wire) receive(t *testing.T) (*http.Response, string) {
	t.Helper()

	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		t.Fatal(err)
	}

	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}

	return response, string(body)
}

func await(t *testing.T, s *Server, match func(Upload) bool) Upload {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	upload, err := s.Await(ctx, match)
	if err != nil {
		t.Fatalf("%v; uploads are %+v", err, s.Uploads())
	}

	return upload
}

func TestCountsRequests(t *testing.T) {
	t.Parallel()

	s, url := start(t)
	if got := s.Requests(); got != 0 {
		t.Fatalf("%d requests before the first", got)
	}

	_, body := get(t, url+"/api/server/ping", nil)
	get(t, url+"//unclean", nil)

	if body != `{"res":"pong"}` {
		t.Errorf("ping answered %s", body)
	}
	if got := s.Requests(); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}

func TestAnnouncesKeepAlive(t *testing.T) {
	t.Parallel()

	s, url := start(t)

	response, _ := get(t, url+"/api/server/ping", nil)
	if got := response.Header.Get("Keep-Alive"); got != "timeout=5" {
		t.Errorf("announced %q", got)
	}
	if got := s.HTTPServer().IdleTimeout; got != 6*time.Second {
		t.Errorf("closes idle connections after %s", got)
	}
}

func TestRefusesOddQueries(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	for name, test := range map[string]struct{ method, uri string }{
		"size no number":            {http.MethodGet, "/api/assets/1/original?size=big"},
		"size negative":             {http.MethodGet, "/api/assets/1/original?size=-1"},
		"archive of a text as size": {http.MethodPost, "/api/download/archive?size=big"},
		"delay no duration":         {http.MethodGet, "/api/server/slow?delay=5"},
		"gap no duration":           {http.MethodPost, "/api/sync/stream?gap=5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			if response, body := do(t, test.method, url+test.uri, nil, nil); response.StatusCode != http.StatusBadRequest {
				t.Errorf("answered %s: %s", response.Status, body)
			}
		})
	}
}
