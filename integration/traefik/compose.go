package traefik

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"go.yaml.in/yaml/v3"
)

// ComposeFile is a file of Docker Compose.
type ComposeFile struct {
	Name     string
	Services map[string]ComposeService
	Volumes  map[string]any
}

// LoadCompose reads the example's docker-compose.yml. An option that ComposeService does not have is an error.
func LoadCompose(t testing.TB) ComposeFile {
	t.Helper()
	var compose ComposeFile
	decoder := yaml.NewDecoder(strings.NewReader(harness.ReadFile(t, filepath.Join(ExampleDir(), "docker-compose.yml"))))
	decoder.KnownFields(true)
	if err := decoder.Decode(&compose); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return compose
}

// Check requires that all references exist.
func (c ComposeFile) Check(t testing.TB) {
	t.Helper()
	for name, service := range c.Services {
		if service.Image == "" {
			t.Errorf("%s has no image", name)
		}
		for _, other := range service.DependsOn {
			if _, found := c.Services[other]; !found {
				t.Errorf("%s depends on %q, which is not a service", name, other)
			}
		}
		for _, volume := range service.Volumes {
			c.checkVolume(t, name, volume)
		}
	}
}

func (c ComposeFile) checkVolume(t testing.TB, service, volume string) {
	t.Helper()
	source, _, _ := strings.Cut(volume, ":")
	if strings.ContainsAny(source, "/.$") {
		return // a path on the host
	}
	if _, found := c.Volumes[source]; !found {
		t.Errorf("%s uses %q, which is not a volume", service, source)
	}
}

// ComposeService has the options that the example uses.
type ComposeService struct {
	Image       string
	Restart     string
	Command     []string
	DependsOn   []string `yaml:"depends_on"`
	Environment map[string]string
	Labels      []string
	Ports       []string
	SecurityOpt []string `yaml:"security_opt"`
	ShmSize     string   `yaml:"shm_size"`
	StopGrace   string   `yaml:"stop_grace_period"`
	Volumes     []string
}
