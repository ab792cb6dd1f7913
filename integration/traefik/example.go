package traefik

import (
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Example is the configuration of examples/traefik, with other ports and paths, and without ACME.
type Example struct {
	Static, Dynamic Settings
	// Web, Open and Keyed are where the entry points listen: the one that redirects, that without and that with a key.
	Web, Open, Keyed string
}

// LoadExample bends the example files to run in dir and lead to Immich at the address.
func LoadExample(dir, immich string) (*Example, error) {
	e := &Example{}
	for _, address := range []*string{&e.Web, &e.Open, &e.Keyed} {
		var err error
		if *address, err = FreeAddress(); err != nil {
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
	e.bendStatic()
	return e, e.bendDynamic(filepath.Join(dir, "immich-keys.txt"), immich)
}

func load(name string) (Settings, error) {
	text, err := os.ReadFile(filepath.Join(ExampleDir(), name))
	if err != nil {
		return nil, err
	}
	var settings Settings
	return settings, yaml.Unmarshal(text, &settings)
}

func (e *Example) bendStatic() {
	delete(e.Static, "certificatesResolvers")
	entryPoints := e.Static.at("entryPoints")
	entryPoints.at("web")["address"] = e.Web
	entryPoints.at("websecure")["address"] = e.Open
	entryPoints.at("immich-key")["address"] = e.Keyed
}

func (e *Example) bendDynamic(keysFile, immich string) error {
	http := e.Dynamic.at("http")
	for name := range http.at("routers") {
		http.at("routers").at(name)["tls"] = Settings{}
	}
	http.at("middlewares").at("immich-every-option").at("plugin").at("immichaccess")["keysFile"] = keysFile
	http.at("services").at("immich").at("loadBalancer")["servers"] = []Settings{{"url": immich}}
	return os.WriteFile(keysFile, nil, 0o600)
}

// at returns a part of the settings, which the examples are known to have.
func (s Settings) at(name string) Settings {
	return s[name].(Settings)
}
