// Package examples checks what users copy: the files in examples/traefik, and the commands, the YAML and the links of the
// documentation.
package examples

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/integration/traefikconfig"
	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/pkg/config/static"
)

// TestMain keeps what the plugin logs in this process out of the output of a failed test.
func TestMain(m *testing.M) {
	harness.DiscardLogs()
	os.Exit(m.Run())
}

func TestExampleFiles(t *testing.T) {
	t.Parallel()
	want := maps.Clone(traefikconfig.ImmichRoutes)
	want["websecure Host(`family.example.com`)"] = true
	dyn := traefikconfig.DynamicFile(t)
	traefikconfig.CheckStatic(t, traefikconfig.StaticFile(t))
	traefikconfig.CheckDynamic(t, traefikconfig.StaticFile(t), dyn, want)
}

func TestExampleShowsEveryOption(t *testing.T) {
	t.Parallel()
	options := traefikconfig.DynamicFile(t).HTTP.Middlewares["immich-every-option"].Plugin[traefik.PluginName]
	if all := reflect.TypeFor[immichaccess.Config]().NumField(); len(options) != all {
		t.Errorf("immich-every-option shows %d options of %d", len(options), all)
	}
}

func TestExampleFileWithPluginOfTheCatalog(t *testing.T) {
	t.Parallel()
	text := harness.ReadFile(t, filepath.Join(traefik.ExampleDir(), "traefik.yml"))
	local, catalog, found := strings.Cut(text, "  # plugins:\n")
	if !found {
		t.Fatal("traefik.yml does not show plugins")
	}
	catalog = "  plugins:\n" + strings.ReplaceAll(catalog, "  # ", "  ")
	config := new(static.Configuration)
	if err := file.DecodeContent(local+catalog, ".yml", config); err != nil {
		t.Fatal(err)
	}
	want := config.Experimental.LocalPlugins[traefik.PluginName].ModuleName
	plugin := config.Experimental.Plugins[traefik.PluginName]
	if plugin.ModuleName != want || !regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(plugin.Version) {
		t.Errorf("the local plugin is %q, the catalog's %+v", want, plugin)
	}
}

func TestExamplesReadme(t *testing.T) {
	t.Parallel()
	readme := harness.ReadFile(t, filepath.Join(traefik.ExampleDir(), "README.md"))
	for _, name := range regexp.MustCompile("`([a-z-]+\\.[a-z]+)`").FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join(traefik.ExampleDir(), name[1])); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(traefik.ExampleDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "README.md" && !strings.Contains(readme, "| `"+name+"` |") {
			t.Errorf("README.md does not say what %s is for", name)
		}
	}
	for _, change := range []string{traefik.ExampleKey, "photos.example.com", "family.example.com", "you@example.com", "http://immich-server:2283"} {
		if !strings.Contains(readme, change) {
			t.Errorf("README.md does not say that %s is to be changed", change)
		}
	}
}
