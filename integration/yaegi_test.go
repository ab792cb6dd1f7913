package integration

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/doortest"
	"github.com/traefik/traefik/v3/pkg/plugins"
)

// newBuilder loads the plugin as Traefik loads a local one, in the interpreter that Traefik ships.
func newBuilder(t testing.TB) *plugins.Builder {
	t.Helper()
	local := map[string]plugins.LocalDescriptor{pluginName: {ModuleName: "github.com/immichaccess/immichaccess"}}
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
	construct, err := builder.Build(pluginName, maps.Clone(options), "test")
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
	doortest.RunHandler(t, func(t *testing.T, options doortest.Options, next http.Handler) http.Handler {
		return interpreted(t, builder, options, next)
	})
}

// The error of wrong options comes out of the interpreter as it is.
func TestWrongOptionsInYaegi(t *testing.T) {
	options := map[string]any{"maxUploadSize": "lots", "keyHeader": "Cookie", "requireKey": "false"}
	construct, err := newBuilder(t).Build(pluginName, options, "test")
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
