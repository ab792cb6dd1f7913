// Package traefikconfig reads configurations of Traefik with Traefik's own code, more strictly than Traefik does: what Traefik
// ignores is an error here. It then checks that the middlewares accept and deny the requests that they should. It links
// Traefik, so only packages that need it import it.
package traefikconfig

import (
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/traefik/paerser/file"
	"github.com/traefik/paerser/flag"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"github.com/traefik/traefik/v3/pkg/config/static"
	fileprovider "github.com/traefik/traefik/v3/pkg/provider/file"
	"go.yaml.in/yaml/v3"
)

// StaticFile is the example's traefik.yml.
func StaticFile(t *testing.T) *static.Configuration {
	t.Helper()
	config := new(static.Configuration)
	checkTopLevel(t, "traefik.yml", config)
	DecodeStatic(t, filepath.Join(traefik.ExampleDir(), "traefik.yml"), config)
	return config
}

// DecodeStatic reads a file with a static configuration.
func DecodeStatic(t *testing.T, path string, config *static.Configuration) {
	t.Helper()
	if err := file.Decode(path, config); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// DynamicFile is the example's dynamic.yml.
func DynamicFile(t *testing.T) *dynamic.Configuration {
	t.Helper()
	checkTopLevel(t, "dynamic.yml", new(dynamic.Configuration))
	return DecodeDynamic(t, filepath.Join(traefik.ExampleDir(), "dynamic.yml"))
}

// DecodeDynamic reads a file with a dynamic configuration.
func DecodeDynamic(t *testing.T, path string) *dynamic.Configuration {
	t.Helper()
	config, err := new(fileprovider.Provider).CreateConfiguration(t.Context(), path, template.FuncMap{}, false)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return config
}

// checkTopLevel rejects unknown options on the first level, where Traefik's decoder ignores them.
func checkTopLevel(t *testing.T, name string, config any) {
	t.Helper()
	var sections map[string]any
	if err := yaml.Unmarshal([]byte(harness.ReadFile(t, filepath.Join(traefik.ExampleDir(), name))), &sections); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for section := range sections {
		known := func(field string) bool { return strings.EqualFold(field, section) }
		if _, found := reflect.TypeOf(config).Elem().FieldByNameFunc(known); !found {
			t.Errorf("%s: Traefik does not know %q", name, section)
		}
	}
}

// DecodeFlags reads a static configuration.
func DecodeFlags(t *testing.T, flags []string) *static.Configuration {
	t.Helper()
	for _, f := range flags { // Traefik's parser stops at the first that is not a flag
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

// DecodeLabels reads the dynamic configuration of a container.
func DecodeLabels(t *testing.T, lines []string) *dynamic.Configuration {
	t.Helper()
	labels := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		if _, twice := labels[name]; twice || !usableLabel.MatchString(name) || strings.Contains(value, "$") {
			t.Errorf("%q is given twice, or Traefik would not read it as it is written", line)
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

// usableLabel matches the labels that a container can have. Traefik ignores all others, such as a serversTransport.
var usableLabel = regexp.MustCompile(`^traefik\.(enable$|http\.(routers|middlewares|services)\.)`)
