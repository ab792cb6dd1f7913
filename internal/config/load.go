package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/traefik/paerser/parser"
)

// Loaded are settings together with where they come from.
type Loaded struct {
	Settings

	sources map[string]string // by option; none for a default
}

// assignment is an option with the value that a source gives it.
type assignment struct {
	option Option
	value  any // text is a string, a list of texts []string; a file may have something else, which is invalid
	source string
}

// Sources other than a file, which is named by its path.
const (
	fromFlag        = "flag"
	fromEnvironment = "environment"
)

// Load reads the settings: flags take precedence over environment variables, and these over the file. The error lists
// everything that is wrong, one problem a line.
func Load(args, environ []string) (*Loaded, error) {
	var errs problems
	loaded, readable := read(args, environ, &errs)
	if readable { // otherwise, what could not be read would be reported as missing
		loaded.check(&errs)
	}
	if len(errs) > 0 && len(args)+len(loaded.sources) == 0 && loaded.ConfigFile == "" {
		errs.add("configFile", "there is no %s beside the binary or in %s; name a file with --configFile=FILE, or write one with immichaccess init", FileName, SystemDirectory)
	}
	return loaded, errs.err()
}

// Storage returns acme.storage of a configuration that need not be complete.
func Storage(args, environ []string) (string, error) {
	var errs problems
	loaded, _ := read(args, environ, &errs)
	return loaded.ACME.Storage, errs.err()
}

// read does not check whether the settings are valid.
func read(args, environ []string, errs *problems) (loaded *Loaded, readable bool) {
	flags, flagsReadable := readFlags(args, errs)
	variables := readEnv(environ, errs)
	loaded = &Loaded{Settings: *Defaults(), sources: map[string]string{}}

	loaded.apply(onlyConfigFile(append(variables, flags...)), errs)
	if _, named := loaded.sources["configFile"]; !named {
		loaded.ConfigFile = findFile()
	}
	file, fileReadable := readFile(loaded.ConfigFile, errs)
	loaded.apply(file, errs)
	loaded.apply(variables, errs)
	loaded.apply(flags, errs)
	return loaded, flagsReadable && fileReadable
}

func onlyConfigFile(all []assignment) []assignment {
	var found []assignment
	for _, a := range all {
		if !a.option.InFile() {
			found = append(found, a)
		}
	}
	return found
}

func (l *Loaded) apply(layer []assignment, errs *problems) {
	for _, a := range layer {
		if err := a.set(&l.Settings); err != nil {
			errs.add(a.option.Name, "%s from %s is invalid; it must be %s", a.shown(), a.origin(), a.option.allowed())
			continue
		}
		l.sources[a.option.Name] = a.source
	}
}

// set has paerser convert the text, one option at a time, so that an error can name the option. A list needs no conversion,
// and its entries may contain commas. paerser leaves a list as it is if the text is empty.
func (a assignment) set(s *Settings) error {
	switch value := a.value.(type) {
	case string:
		if a.option.kind() == listType && value == "" {
			a.option.field(s).SetZero()
			return nil
		}
		return parser.Decode(map[string]string{parser.DefaultRootName + "." + a.option.Name: value}, s, parser.DefaultRootName)
	case []string:
		if a.option.kind() == listType {
			a.option.field(s).Set(reflect.ValueOf(trimmed(value)))
			return nil
		}
	}
	return errors.New("neither text nor a list")
}

func trimmed(list []string) []string {
	entries := make([]string, len(list))
	for i, entry := range list {
		entries[i] = strings.TrimSpace(entry)
	}
	return entries
}

// shown is the value for an error message, unless it is a secret.
func (a assignment) shown() string {
	if a.option.secret {
		return "the value"
	}
	if text, ok := a.value.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(a.value)
}

// origin is what the user has to correct.
func (a assignment) origin() string {
	switch a.source {
	case fromFlag:
		return a.option.Flag()
	case fromEnvironment:
		return a.option.Variable()
	default:
		return a.source
	}
}

// problems collects what is wrong with the options, so that one start reports all of it.
type problems []error

func (p *problems) add(option, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %w", option, fmt.Errorf(format, args...)))
}

// err has a line for each problem.
func (p *problems) err() error {
	return errors.Join(*p...)
}
