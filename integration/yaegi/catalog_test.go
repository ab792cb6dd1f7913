package yaegi

import (
	"image/png"
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
	IconPath    string         `yaml:"iconPath"`
	BannerPath  string         `yaml:"bannerPath"`
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
	checkImage(t, m.IconPath, 256, 256)
	checkImage(t, m.BannerPath, 1280, 640) // the usual shape of a preview in social media
}

// checkImage requires a PNG file of a size, which is small enough to be loaded quickly.
func checkImage(t *testing.T, path string, width, height int) {
	t.Helper()
	content := harness.ReadFile(t, filepath.Join(harness.RepositoryDir(), path))
	config, err := png.DecodeConfig(strings.NewReader(content))
	if err != nil || config.Width != width || config.Height != height || len(content) > 60_000 {
		t.Errorf("%s: %d by %d pixels, %d bytes, %v", path, config.Width, config.Height, len(content), err)
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
