package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/traefik/paerser/flag"
	"github.com/traefik/paerser/parser"
	"gopkg.in/yaml.v3"
)

const (
	envPrefix       = "IMMICHACCESS_"
	defaultFileName = "immichaccess.yml"
	systemDirectory = "/etc/immichaccess"
)

func readFlags(args []string, errs *problems) (layer []assignment, readable bool) {
	if stray := strayArgument(args); stray != "" {
		errs.add(stray, "this is no option; a command comes first, a file is given as --configFile=FILE; --help shows all")
		return nil, false
	}
	values, err := flag.Parse(args, &Settings{})
	if err != nil {
		errs.add("flags", "%w", err)
		return nil, false
	}
	for _, key := range sortedKeys(values) {
		name := strings.TrimPrefix(key, parser.DefaultRootName+".")
		o, known := findOption(name)
		if !known {
			errs.add("--"+name, "there is no such option%s", suggestion(name, option.flag))
			continue
		}
		layer = append(layer, assignment{o, values[key], "flag"})
	}
	return layer, true
}

// strayArgument finds what paerser would take for the end of the flags, and silently leave out the rest.
func strayArgument(args []string) string {
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") || strings.Trim(args[i], "-") == "" {
			return args[i]
		}
		if takesNext(args[i]) {
			i++
		}
	}
	return ""
}

func takesNext(arg string) bool {
	o, _ := findOption(strings.TrimLeft(arg, "-"))
	return !strings.Contains(arg, "=") && (o.kind == nil || o.kind.Kind() != reflect.Bool)
}

func (o option) flag() string {
	return "--" + o.name
}

func readEnv(environ []string, errs *problems) []assignment {
	var layer []assignment
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		i := slices.IndexFunc(options, func(o option) bool { return o.variable() == name })
		if i < 0 {
			errs.add(name, "there is no such option%s", suggestion(name, option.variable))
			continue
		}
		layer = append(layer, assignment{options[i], value, "environment"})
	}
	return layer
}

// findFile returns the file the user named, else one in the usual places, else nothing.
func findFile(named string) string {
	if named != "" {
		return named
	}
	places := []string{filepath.Join(systemDirectory, defaultFileName)}
	if binary, err := os.Executable(); err == nil {
		places = append([]string{filepath.Join(filepath.Dir(binary), defaultFileName)}, places...)
	}
	for _, place := range places {
		if _, err := os.Stat(place); err == nil {
			return place
		}
	}
	return ""
}

func readFile(path string, errs *problems) (layer []assignment, readable bool) {
	if path == "" {
		return nil, true
	}
	tree, err := parseFile(path)
	if err != nil {
		errs.add("configFile", "%s: %w", path, err)
		return nil, false
	}
	for _, leaf := range leaves("", tree) {
		o, known := findOption(leaf.name)
		switch {
		case !known:
			errs.add(leaf.name, "there is no such option, in %s%s", path, suggestion(leaf.name, option.spelled))
		case o.name == "configFile":
			errs.add(leaf.name, "a file can't name itself, in %s", path)
		case leaf.value != nil:
			layer = append(layer, assignment{o, leaf.value, path})
		}
	}
	return layer, true
}

func (o option) spelled() string {
	return o.name
}

func parseFile(path string) (map[string]any, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tree := map[string]any{}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yml", ".yaml":
		err = yaml.Unmarshal(content, &tree)
	case ".toml":
		err = toml.Unmarshal(content, &tree)
	default:
		err = fmt.Errorf("the format is told by the ending; allowed are .yml, .yaml and .toml")
	}
	return tree, err
}

type leaf struct {
	name  string
	value any
}

// leaves flattens the sections of a file; one that is empty, as after a bare "access:", has none.
func leaves(prefix string, tree map[string]any) []leaf {
	var found []leaf
	for _, key := range sortedKeys(tree) {
		name := prefix + key
		branch, isSection := tree[key].(map[string]any)
		switch {
		case isSection:
			found = append(found, leaves(name+".", branch)...)
		case tree[key] != nil || !isSectionName(name):
			found = append(found, leaf{name, tree[key]})
		}
	}
	return found
}

func isSectionName(name string) bool {
	return slices.ContainsFunc(options, func(o option) bool {
		return strings.HasPrefix(strings.ToLower(o.name), strings.ToLower(name)+".")
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
