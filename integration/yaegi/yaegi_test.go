package yaegi

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"github.com/traefik/traefik/v3/pkg/plugins"
)

// newBuilder loads the plugin as Traefik loads a local one, in the interpreter that Traefik ships.
func newBuilder(t testing.TB) *plugins.Builder {
	t.Helper()
	local := map[string]plugins.LocalDescriptor{traefik.PluginName: {ModuleName: "github.com/immichaccess/immichaccess"}}
	if err := plugins.SetupLocalPlugins(local); err != nil {
		t.Fatal(err)
	}
	builder, err := plugins.NewBuilder(nil, nil, local)
	if err != nil {
		t.Fatal(err)
	}
	return builder
}

func interpreted(t testing.TB, builder *plugins.Builder, options map[string]any, next http.Handler) http.Handler {
	t.Helper()
	construct, err := builder.Build(traefik.PluginName, maps.Clone(options), "test")
	if err != nil {
		t.Fatal(err)
	}
	handler, err := construct(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func TestPromisesInYaegi(t *testing.T) {
	builder := newBuilder(t)
	conformance.RunHandler(t, func(t *testing.T, options conformance.Options, next http.Handler) http.Handler {
		return interpreted(t, builder, options, next)
	})
}

// The interpreter passes on the error about invalid options unchanged.
func TestWrongOptionsInYaegi(t *testing.T) {
	options := map[string]any{"maxUploadSize": "lots", "keyHeader": "Cookie", "requireKey": "false"}
	construct, err := newBuilder(t).Build(traefik.PluginName, options, "test")
	if err != nil {
		t.Fatal(err)
	}
	_, err = construct(t.Context(), http.NotFoundHandler())
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, want := range []string{`immichaccess: the configuration of "test" is wrong: `, `keyHeader: "Cookie" is `, `; maxUploadSize: "lots" is `} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
}

// The catalog loads a plugin and calls New with the manifest's testData, and gives it 10 s.
func TestCatalogConditions(t *testing.T) {
	began := time.Now()
	manifest := readManifest(t)
	builder := newBuilder(t)
	interpreted(t, builder, manifest.TestData, http.NotFoundHandler())
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	checkManifest(t, manifest)
	checkRequirements(t)
}

// A key file is removed, and written with other keys, while the interpreter watches it. A timer reads the file, where nothing recovers from a
// panic: it would end Traefik, and here it would end the tests.
func TestRemovedKeysFileInYaegi(t *testing.T) {
	const secret = "a-secret-of-a-key-in-a-file"
	file := filepath.Join(t.TempDir(), "keys.txt")
	harness.WriteFile(t, file, "phone:"+secret+"\n")
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	handler := interpreted(t, newBuilder(t), map[string]any{"keysFile": file, "logDenied": "false"}, next)
	status := func(key string) int {
		request, answer := httptest.NewRequest(http.MethodGet, "/api/server/ping", nil), httptest.NewRecorder()
		request.Header.Set("X-Access-Key", key)
		handler.ServeHTTP(answer, request)
		return answer.Code
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	const reads = 3 * time.Second // of the file, once a second
	for end := time.Now().Add(reads); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if got := status(secret); got != http.StatusNoContent {
			t.Fatalf("while there is no file: status %d", got)
		}
	}
	harness.WriteFile(t, file, "phone:"+secret+"-too"+"\nguest:"+secret+"-for-long expires=2999-12-31\nguest2:"+secret+"-no-more expires=2020-12-31\n")
	harness.AwaitWithin(t, 5*time.Second, "the new key to work", func() bool { return status(secret+"-too") == http.StatusNoContent })
	for key, want := range map[string]int{
		secret + "-for-long": http.StatusNoContent, secret: http.StatusForbidden,
		secret + "-no-more": http.StatusForbidden, secret + "-TOO": http.StatusForbidden, secret + "-for-lonG": http.StatusForbidden,
	} {
		if got := status(key); got != want {
			t.Errorf("after the change, the key %q gets %d, want %d", key, got, want)
		}
	}
}
