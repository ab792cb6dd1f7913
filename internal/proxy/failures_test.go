package proxy

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/testlog"
	"github.com/traefik/paerser/types"
)

// TestInvalidResponseIsNotLogged has an Immich whose response is in the place of another's head. What can't be parsed may be a token.
func TestInvalidResponseIsNotLogged(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]string{
		"status line": `{"accessToken":"secret"}` + "\r\n\r\n",
		"version":     "secret 200 OK\r\n\r\n",
		"status":      "HTTP/1.1 secret OK\r\n\r\n",
		"header":      "HTTP/1.1 200 OK\r\nSet-Cookie secret\r\n\r\n",
		"protocol":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: secret\r\n\r\n",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} { // forwarder, ReverseProxy
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				var log testlog.Log
				settings := &config.Settings{Upstreams: []string{startUpstream(t, always(response)).url}}
				settings.Admin.Address = "127.0.0.1:0" // so that the health is checked, too
				settings.Timeouts.Idle, settings.Timeouts.Upstream = types.Duration(time.Hour), types.Duration(time.Hour)
				p := New(t.Context(), settings, slog.New(slog.NewTextHandler(&log, nil)))
				r := httptest.NewRequest(method, "/", nil)
				r.Header.Set("Connection", "Upgrade")
				r.Header.Set("Upgrade", "websocket")
				p.ServeHTTP(httptest.NewRecorder(), r)
				log.Await(t, "status=502")
				log.Await(t, "an upstream does not answer")
				if text := log.String(); strings.Contains(text, "secret") {
					t.Error(text)
				}
			})
		}
	}
}
