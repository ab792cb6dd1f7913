package traefik

import (
	"os"
	"path/filepath"

	"github.com/immichaccess/immichaccess/integration/harness"
	"go.yaml.in/yaml/v3"
)

// ExampleKey is accepted wherever the examples require a key, and their comments say so.
const ExampleKey = "example-phone-key-change-me"

// ExampleDir has the files that users start from.
func ExampleDir() string {
	return filepath.Join(harness.RepositoryDir(), "examples", "traefik")
}

// Example is the configuration of examples/traefik, with other ports and paths, and without ACME.
type Example struct {
	Static, Dynamic Settings
	// Web, Open and Keyed are the addresses of the entry points: the one that redirects, the one without and the one with a key.
	Web, Open, Keyed string
}

// LoadExample changes the example files so that they run in dir and lead to Immich at the URL.
func LoadExample(dir, immich string) (*Example, error) {
	e := &Example{}
	for _, address := range []*string{&e.Web, &e.Open, &e.Keyed} {
		var err error
		if *address, err = harness.FindFreeAddress(); err != nil {
			return nil, err
		}
	}
	var err error
	if e.Static, err = load("traefik.yml"); err != nil {
		return nil, err
	}
	if e.Dynamic, err = load("dynamic.yml"); err != nil {
		return nil, err
	}
	e.adaptStatic()
	return e, e.adaptDynamic(filepath.Join(dir, "immich-keys.txt"), immich)
}

func load(name string) (Settings, error) {
	text, err := os.ReadFile(filepath.Join(ExampleDir(), name))
	if err != nil {
		return nil, err
	}
	var settings Settings
	return settings, yaml.Unmarshal(text, &settings)
}

func (e *Example) adaptStatic() {
	delete(e.Static, "certificatesResolvers")
	entryPoints := e.Static.At("entryPoints")
	entryPoints.At("web")["address"] = e.Web
	entryPoints.At("websecure")["address"] = e.Open
	entryPoints.At("immich-key")["address"] = e.Keyed
}

func (e *Example) adaptDynamic(keysFile, immich string) error {
	http := e.Dynamic.At("http")
	for name := range http.At("routers") {
		http.At("routers").At(name)["tls"] = Settings{}
	}
	http.At("middlewares").At("immich-every-option").At("plugin").At(PluginName)["keysFile"] = keysFile
	http.At("services").At("immich").At("loadBalancer")["servers"] = []Settings{{"url": immich}}
	return os.WriteFile(keysFile, nil, 0o600)
}

// At returns a part of the settings, which has to exist.
func (s Settings) At(name string) Settings {
	return s[name].(Settings)
}
