package integration

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/traefik/paerser/flag"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"github.com/traefik/traefik/v3/pkg/config/static"
	"go.yaml.in/yaml/v3"
)

func TestExampleCompose(t *testing.T) {
	t.Parallel()
	compose := loadCompose(t)
	compose.check(t)
	config := decodeFlags(t, compose.Services["traefik"].Command)
	checkStatic(t, config)
	checkPorts(t, config, compose.Services["traefik"].Ports)
	for name, service := range compose.Services {
		if len(service.Labels) > 0 {
			t.Run(name, func(t *testing.T) { checkDynamic(t, config, decodeLabels(t, service.Labels), immichsDoors) })
		}
	}
}

type composeFile struct {
	Name     string
	Services map[string]composeService
	Volumes  map[string]any
}

func loadCompose(t *testing.T) composeFile {
	t.Helper()
	var compose composeFile
	decoder := yaml.NewDecoder(strings.NewReader(readExample(t, "docker-compose.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&compose); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return compose
}

func (c composeFile) check(t *testing.T) {
	t.Helper()
	for name, service := range c.Services {
		if service.Image == "" {
			t.Errorf("%s has no image", name)
		}
		for _, other := range service.DependsOn {
			if _, found := c.Services[other]; !found {
				t.Errorf("%s depends on %q, which is no service", name, other)
			}
		}
		for _, volume := range service.Volumes {
			c.checkVolume(t, name, volume)
		}
	}
}

func (c composeFile) checkVolume(t *testing.T, service, volume string) {
	t.Helper()
	source, _, _ := strings.Cut(volume, ":")
	if strings.ContainsAny(source, "/.$") {
		return // a path on the host
	}
	if _, found := c.Volumes[source]; !found {
		t.Errorf("%s uses %q, which is no volume", service, source)
	}
}

// checkPorts wants every entry point published, with UDP where it speaks HTTP/3.
func checkPorts(t *testing.T, config *static.Configuration, ports []string) {
	t.Helper()
	for name, entryPoint := range config.EntryPoints {
		port := strings.TrimPrefix(entryPoint.Address, ":")
		tcp := port + ":" + port
		if !slices.Contains(ports, tcp) && !slices.Contains(ports, tcp+"/tcp") {
			t.Errorf("%s: port %s is not published", name, port)
		}
		if entryPoint.HTTP3 != nil && !slices.Contains(ports, tcp+"/udp") {
			t.Errorf("%s: port %s is not published over UDP", name, port)
		}
	}
}

func decodeFlags(t *testing.T, flags []string) *static.Configuration {
	t.Helper()
	for _, f := range flags { // Traefik's parser stops at the first that is none
		if !strings.HasPrefix(f, "--") || strings.Contains(f, "$") {
			t.Errorf("%q is not a plain flag", f)
		}
	}
	config := new(static.Configuration)
	if err := flag.Decode(flags, config); err != nil {
		t.Fatal(err)
	}
	return config
}

func decodeLabels(t *testing.T, lines []string) *dynamic.Configuration {
	t.Helper()
	labels := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		if _, twice := labels[name]; twice || !usableLabel.MatchString(name) || strings.Contains(value, "$") {
			t.Errorf("%q is given twice, or is not for Traefik's plain reading", line)
		}
		labels[name] = value
	}
	if labels["traefik.enable"] != "true" {
		t.Error("the container is not enabled")
	}
	config, err := label.DecodeConfiguration(labels)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// composeService has the options that the example uses; another one in the file is an error.
type composeService struct {
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

// usableLabel begins what a container can say. Traefik ignores all else, a serversTransport among it.
var usableLabel = regexp.MustCompile(`^traefik\.(enable$|http\.(routers|middlewares|services)\.)`)
