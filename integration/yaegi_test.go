package integration

import (
	"maps"
	"net/http"
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
