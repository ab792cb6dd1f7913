package harness

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// ServeImmich runs a fake Immich until the test ends, and returns it with its URL. It closes idle connections as Immich does.
func ServeImmich(t testing.TB) (*fakeimmich.Server, string) {
	t.Helper()
	immich := fakeimmich.New()
	return immich, Serve(t, immich.HTTPServer())
}

// Serve runs a server over plain HTTP on loopback until the test ends, and returns its URL.
func Serve(t testing.TB, server *http.Server) string {
	t.Helper()
	running := httptest.NewUnstartedServer(nil)
	running.Config = server
	running.Start()
	t.Cleanup(running.Close)
	return running.URL
}
