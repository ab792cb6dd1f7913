package yaegi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/modfile"
)

// manifest is .traefik.yml as the plugin catalog reads it.
type manifest struct {
	DisplayName string         `yaml:"displayName"`
	Type        string         `yaml:"type"`
	Import      string         `yaml:"import"`
	Summary     string         `yaml:"summary"`
	TestData    map[string]any `yaml:"testData"`
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	file, err := os.Open(filepath.Join(harness.RepositoryDir(), ".traefik.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var m manifest
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func checkManifest(t *testing.T, m manifest) {
	t.Helper()
	if m.Type != "middleware" || m.Import != readModule(t).Module.Mod.Path {
		t.Errorf("type %q, import %q", m.Type, m.Import)
	}
	if m.DisplayName == "" || m.Summary == "" || len(m.TestData) == 0 {
		t.Errorf("a field is empty: %+v", m)
	}
	if _, hasFile := m.TestData["keysFile"]; hasFile {
		t.Error("the catalog has no key file")
	}
}

// checkRequirements checks go.mod as the catalog does.
func checkRequirements(t *testing.T) {
	t.Helper()
	for _, requirement := range readModule(t).Require {
		if strings.HasPrefix(requirement.Mod.Path, "github.com/traefik/yaegi") || strings.HasPrefix(requirement.Mod.Path, "github.com/traefik/traefik") {
			t.Errorf("the catalog refuses a plugin that requires %s", requirement.Mod.Path)
		}
	}
}

func readModule(t *testing.T) *modfile.File {
	t.Helper()
	text := harness.ReadFile(t, filepath.Join(harness.RepositoryDir(), "go.mod"))
	module, err := modfile.Parse("go.mod", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return module
}
