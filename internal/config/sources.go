package config

import (
	"errors"
	"fmt"
	"maps"
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

// The configuration file that is found without being named, and the directory of its own in which it is found.
const (
	FileName        = "immichaccess.yml"
	SystemDirectory = "/etc/immichaccess"
)

const envPrefix = "IMMICHACCESS_"

func readFlags(args []string, errs *problems) (layer []assignment, readable bool) {
	if extra := extraArgument(args); extra != "" {
		errs.add(extra, "this is not an option; a command has to come first, and a file is given as --configFile=FILE; see --help")
		return nil, false
	}
	values, err := flag.Parse(args, &Settings{})
	if err != nil {
		errs.add("flags", "%w", err)
		return nil, false
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		name := strings.TrimPrefix(key, parser.DefaultRootName+".")
		o, known := findOption(name)
		if !known {
			errs.add("--"+name, "there is no such option%s", suggestion(name, Option.Flag))
			continue
		}
		layer = append(layer, assignment{o, values[key], fromFlag})
	}
	return layer, true
}

// extraArgument finds an argument that belongs to no flag: paerser would stop there, and silently ignore the flags after it.
func extraArgument(args []string) string {
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
	o, known := findOption(strings.TrimLeft(arg, "-"))
	return !strings.Contains(arg, "=") && (!known || o.kind().Kind() != reflect.Bool)
}

func readEnv(environ []string, errs *problems) []assignment {
	var layer []assignment
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		i := slices.IndexFunc(options, func(o Option) bool { return o.Variable() == name })
		if i < 0 {
			errs.add(name, "there is no such option%s", suggestion(name, Option.Variable))
			continue
		}
		layer = append(layer, assignment{options[i], value, fromEnvironment})
	}
	return layer
}

// findFile returns the file in the usual places, if there is one.
func findFile() string {
	places := []string{filepath.Join(SystemDirectory, FileName)}
	if binary, err := os.Executable(); err == nil {
		places = append([]string{filepath.Join(filepath.Dir(binary), FileName)}, places...)
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
	content, err := parseFile(path)
	if err != nil {
		errs.add("configFile", "%s: %w", path, err)
		return nil, false
	}
	for _, leaf := range content.leaves("") {
		o, known := findOption(leaf.name)
		switch {
		case !known && leaf.value == nil && isSection(leaf.name): // empty
		case !known:
			errs.add(leaf.name, "there is no such option, in %s%s", path, suggestion(leaf.name, func(o Option) string { return o.Name }))
		case !o.InFile():
			errs.add(leaf.name, "a file can't name itself, in %s", path)
		case leaf.value != nil:
			layer = append(layer, assignment{o, leaf.value, path})
		}
	}
	return layer, true
}

// isSection reports whether options begin with this name.
func isSection(name string) bool {
	return slices.ContainsFunc(options, func(o Option) bool {
		return strings.HasPrefix(strings.ToLower(o.Name), strings.ToLower(name)+".")
	})
}

func parseFile(path string) (section, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	content := section{}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yml", ".yaml":
		err = yaml.Unmarshal(text, &content)
	case ".toml":
		err = toml.Unmarshal(text, &content)
	default:
		err = errors.New("the file name must end in .yml, .yaml or .toml")
	}
	return content, err
}

// section is a file, or a part of it.
type section map[string]node

// node is what a section has under a name: another section; text as it is written, so that a key of digits does not become a
// number and lose its zeros; a list of texts; or anything else, which no option accepts.
type node struct{ value any }

// UnmarshalYAML is called for every value that is not null.
func (n *node) UnmarshalYAML(written *yaml.Node) error {
	switch written.Kind {
	case yaml.MappingNode:
		return decodeAs[section](n, written)
	case yaml.ScalarNode:
		return decodeAs[string](n, written)
	}
	if err := decodeAs[[]string](n, written); err == nil {
		return nil
	}
	return written.Decode(&n.value)
}

func decodeAs[T any](n *node, written *yaml.Node) error {
	var value T
	err := written.Decode(&value)
	n.value = value
	return err
}

// UnmarshalTOML is given a value of any type that TOML has.
func (n *node) UnmarshalTOML(value any) error {
	n.value = fromTOML(value)
	return nil
}

func fromTOML(value any) any {
	switch value := value.(type) {
	case map[string]any:
		content := section{}
		for name, inner := range value {
			content[name] = node{fromTOML(inner)}
		}
		return content
	case []any:
		list := make([]string, len(value))
		for i, entry := range value {
			text, isText := fromTOML(entry).(string)
			if !isText {
				return value
			}
			list[i] = text
		}
		return list
	case []map[string]any:
		return value
	default:
		return fmt.Sprint(value)
	}
}

// leaf is a value in a file and its full name, such as listen.https.
type leaf struct {
	name  string
	value any // nil if nothing is written, as after a bare "access:"
}

func (s section) leaves(prefix string) []leaf {
	var found []leaf
	for _, name := range slices.Sorted(maps.Keys(s)) {
		value := s[name].value
		if inner, isSection := value.(section); isSection {
			found = append(found, inner.leaves(prefix+name+".")...)
			continue
		}
		found = append(found, leaf{prefix + name, value})
	}
	return found
}
