package traefikconfig

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/mitchellh/mapstructure"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// Handler responds with 204 behind the middlewares of a router, as Traefik would build it.
func Handler(t *testing.T, dyn *dynamic.Configuration, router *dynamic.Router) http.Handler {
	t.Helper()
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, name := range slices.Backward(router.Middlewares) {
		config := PluginConfig(t, dyn.HTTP.Middlewares[name].Plugin[traefik.PluginName])
		var err error
		if handler, err = immichaccess.New(t.Context(), handler, config, name); err != nil {
			t.Fatal(err)
		}
	}
	return handler
}

// PluginConfig decodes the options as Traefik does (pkg/plugins/middlewareyaegi.go), except that an unknown one is an error.
func PluginConfig(t *testing.T, options dynamic.PluginConf) *immichaccess.Config {
	t.Helper()
	config := immichaccess.CreateConfig()
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook:       mapstructure.StringToSliceHookFunc(","),
		WeaklyTypedInput: true,
		ErrorUnused:      true,
		Result:           config,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(map[string]any(options)); err != nil {
		t.Fatal(err)
	}
	if config.KeysFile != "" {
		config.KeysFile = usersFile(t, "# comment\ntablet:a-key-in-the-file-of-a-user\n")
	}
	if config.SessionSecretFile != "" {
		config.SessionSecretFile = usersFile(t, strings.Repeat("0123456789abcdef", 4)+"\n")
	}
	return config
}

// usersFile replaces a path on the user's machine.
func usersFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.txt")
	harness.WriteFile(t, name, content)
	return name
}

// Status is the answer to a GET request with the key, or without one if it is empty.
func Status(handler http.Handler, key string) int {
	request := httptest.NewRequest(http.MethodGet, "/api/server/ping", nil)
	if key != "" {
		request.Header.Set("X-Access-Key", key)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code
}
