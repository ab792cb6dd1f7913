package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/traefik/paerser/file"
)

// Loaded are settings with their origin.
type Loaded struct {
	Settings

	sources map[string]string // by option; none for a default
}

// assignment is one option as a source gives it.
type assignment struct {
	option option
	value  any // string, bool, number or list, as the source spells it
	source string
}

// Load reads the settings: flags win over the environment, the environment over the file. The error tells of everything
// that is wrong, a line each.
func Load(args, environ []string) (*Loaded, error) {
	var errs problems
	loaded, readable := read(args, environ, &errs)
	if readable { // else what could not be read would be reported as missing
		loaded.check(&errs)
	}
	if len(errs) > 0 && len(args)+len(loaded.sources) == 0 && loaded.ConfigFile == "" {
		errs.add("configFile", "none was read: there is no %s beside the binary or in %s; --configFile= names another", defaultFileName, systemDirectory)
	}
	return loaded, errs.err()
}

// Storage returns acme.storage of a configuration that need not be complete.
func Storage(args, environ []string) (string, error) {
	var errs problems
	loaded, _ := read(args, environ, &errs)
	return loaded.ACME.Storage, errs.err()
}

// read does not check whether the settings are any good.
func read(args, environ []string, errs *problems) (loaded *Loaded, readable bool) {
	fromFlags, flagsReadable := readFlags(args, errs)
	fromEnv := readEnv(environ, errs)
	loaded = &Loaded{Settings: *Defaults(), sources: map[string]string{}}

	loaded.apply(onlyConfigFile(append(fromEnv, fromFlags...)), errs)
	loaded.ConfigFile = findFile(loaded.ConfigFile)
	fromFile, fileReadable := readFile(loaded.ConfigFile, errs)
	loaded.apply(fromFile, errs)
	loaded.apply(fromEnv, errs)
	loaded.apply(fromFlags, errs)
	return loaded, flagsReadable && fileReadable
}

func onlyConfigFile(all []assignment) []assignment {
	var found []assignment
	for _, a := range all {
		if a.option.name == "configFile" {
			found = append(found, a)
		}
	}
	return found
}

func (l *Loaded) apply(layer []assignment, errs *problems) {
	for _, a := range layer {
		if err := a.set(&l.Settings); err != nil {
			errs.add(a.option.name, "%v in %s is not valid; allowed is %s", a.shown(), a.source, a.option.allowed())
			continue
		}
		l.sources[a.option.name] = a.source
	}
}

// set lets paerser convert the value, one option at a time, so that an error can be told with the option it belongs to.
func (a assignment) set(s *Settings) error {
	if _, isList := a.value.([]any); isList && a.option.kind != listType {
		return errors.New("a list")
	}
	document, err := json.Marshal(nest(a.option.name, a.value))
	if err != nil {
		return err
	}
	return file.DecodeContent(string(document), ".json", s)
}

// nest makes {"listen": {"https": value}} of listen.https.
func nest(name string, value any) map[string]any {
	section, rest, nested := strings.Cut(name, ".")
	if nested {
		value = nest(rest, value)
	}
	return map[string]any{section: value}
}

// shown is the value for an error, unless it is a secret.
func (a assignment) shown() string {
	if a.option.isSecret() {
		return "what stands there"
	}
	if reflect.TypeOf(a.value).Kind() == reflect.String {
		return fmt.Sprintf("%q", a.value)
	}
	return fmt.Sprint(a.value)
}

// problems gathers what is wrong, so that one start reports all of it.
type problems []error

func (p *problems) add(subject, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %w", subject, fmt.Errorf(format, args...)))
}

func (p *problems) err() error {
	return errors.Join(*p...)
}
