package immichaccess_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// The same table runs in Yaegi and in Traefik, see integration/.
func TestPromises(t *testing.T) {
	conformance.RunHandler(t, newHandler)
}

func newHandler(t *testing.T, options conformance.Options, next http.Handler) http.Handler {
	t.Helper()
	config := immichaccess.CreateConfig()
	options.Apply(t, reflect.ValueOf(config).Elem())
	handler, err := immichaccess.New(t.Context(), next, config, "test")
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// httputil.ReverseProxy drops the trailers of requests, so this test runs without one.
func TestRequestTrailers(t *testing.T) {
	server := httptest.NewServer(newHandler(t, conformance.Options{"requireKey": false}, fakeimmich.New()))
	t.Cleanup(server.Close)
	body := struct{ io.Reader }{strings.NewReader("a body of unknown length")}
	request, err := http.NewRequest(http.MethodPost, server.URL+"/api/server/trailers", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{"X-Checksum": {"abc"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(got), `"abc"`) {
		t.Errorf("%s, %v", got, err)
	}
}
