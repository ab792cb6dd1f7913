package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
)

func ofDomain(s *config.Settings) { s.Domains = []string{"photos.example.com"} }

func TestOtherHostsAreMisdirected(t *testing.T) {
	t.Parallel()
	s := serve(t, ofDomain)
	for protocol, client := range clients(t) {
		for _, c := range []struct {
			method, path, host string
			status             int
		}{
			{"GET", "/", "photos.example.com", 200},
			{"GET", "/", "PHOTOS.example.com", 200},
			{"GET", "/", "photos.example.com.", 200},
			{"GET", "/", "photos.example.com:8443", 200},
			{"GET", "/", "photos.example.com.:8443", 200},
			{"GET", "/", "photos.example.com..", 421},
			{"GET", "/", "evil.example", 421},
			{"GET", "/", "xphotos.example.com", 421},
			{"GET", "/", "photos.example.com.evil.example", 421},
			{"GET", "/", "127.0.0.1", 421},
			{"POST", "/api/server/ping", "127.0.0.1", 421},
			{"GET", "/api/server/ping", "127.0.0.1:443", 200},
			{"HEAD", "/api/server/ping", "[::1]:443", 200},
			{"GET", "/api/server/ping", "localhost", 200},
			{"GET", "/api/server/ping", "evil.example", 421},
		} {
			t.Run(protocol+" "+c.method+" "+c.host+c.path, func(t *testing.T) {
				t.Parallel()
				request, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+s.address+c.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Host = c.host
				response, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != c.status {
					t.Fatalf("%s, %q, %v; want %d", response.Status, body, err, c.status)
				}
				if c.status == http.StatusMisdirectedRequest {
					wantError(t, response, body)
				}
			})
		}
	}
}

func TestWildcardIsOneLabel(t *testing.T) {
	t.Parallel()
	handler := CheckAuthority([]string{"*.example.com", "example.org"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, status := range map[string]int{
		"photos.example.com":       200,
		"PHOTOS.Example.com.:8443": 200,
		"example.org":              200,
		"example.com":              421,
		".example.com":             421,
		"a.b.example.com":          421,
		"photos.example.org":       421,
		"photosexample.com":        421,
		"*.example.com.evil":       421,
	} {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Host = host
		handler.ServeHTTP(recorder, request)
		if recorder.Code != status {
			t.Errorf("%s: %d, want %d", host, recorder.Code, status)
		}
	}
}

// wantError wants an error in Immich's format.
func wantError(t *testing.T, response *http.Response, body []byte) {
	t.Helper()
	var answer struct {
		Message, Error string
		StatusCode     int
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Message == "" || answer.Error == "" || answer.StatusCode != response.StatusCode {
		t.Errorf("%s, %v", body, err)
	}
	if length := response.Header.Get("Content-Length"); length != strconv.Itoa(len(body)) {
		t.Errorf("Content-Length is %q", length)
	}
}

func TestInvalidAuthority(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	for _, authority := range []string{"user@localhost", "localhost/api", "localhost?a", "localhost#a", `localhost\a`, "localhost:x", "[::1", "[localhost]", "a:1:2"} {
		t.Run(authority, func(t *testing.T) {
			t.Parallel()
			const status = `"statusCode":400`
			one := s.dial(t, "http/1.1")
			_, _ = io.WriteString(one, "GET / HTTP/1.1\r\nHost: "+authority+"\r\n\r\n")
			readUntil(t, one, "400") // some get net/http's own response

			two := s.dial(t, "h2")
			const get, https, root, byName = "\x82", "\x87", "\x84", "\x01"
			const endOfAll = 5
			_, _ = io.WriteString(two, http2Begins+http2Frame(frameHeaders, endOfAll, get+https+root+byName+string(rune(len(authority)))+authority))
			const reset = "\x00\x00\x04\x03\x00\x00\x00\x00\x01" // how net/http refuses user information
			readUntil(t, two, status, reset)

			stream, err := s.dialQUIC(t).OpenStreamSync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			fields := append([]byte{0, 0, 0xc0 | 17, 0xc0 | 23, 0xc0 | 1, 0x50, byte(len(authority))}, authority...)
			_, _ = stream.Write(append([]byte{frameHeaders, byte(len(fields))}, fields...))
			_ = stream.Close()
			readUntil(t, stream, status)
		})
	}
}

func TestUserInformationInTheTarget(t *testing.T) {
	t.Parallel()
	conn := serve(t, ofDomain).dial(t, "http/1.1")
	_, _ = io.WriteString(conn, "GET https://user@photos.example.com/ HTTP/1.1\r\nHost: photos.example.com\r\n\r\n")
	readUntil(t, conn, `"statusCode":400`)
}
