package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/traefik/paerser/types"
)

// Option is a field of Settings that the user can set.
type Option struct {
	Name  string              // as in listen.https
	Owner reflect.Type        // the struct that has the field
	Field reflect.StructField // in Owner

	index  []int // of the field in Settings
	secret bool  // no output may show it
}

var (
	durationType = reflect.TypeFor[types.Duration]()
	listType     = reflect.TypeFor[[]string]()
)

var options = optionsOf(reflect.TypeFor[Settings](), "", nil)

// Options returns all options, in the order of Settings.
func Options() []Option {
	return slices.Clone(options)
}

// optionsOf names each option by the yaml tags of its field and of the sections that it is in. A secret has the tag that
// Traefik uses for the same purpose, loggable:"false".
func optionsOf(section reflect.Type, prefix string, index []int) []Option {
	var found []Option
	for i := range section.NumField() {
		field := section.Field(i)
		tag := field.Tag.Get("yaml")
		if !strings.EqualFold(tag, field.Name) { // paerser, and in the plugin mapstructure, find a field by its name
			panic(fmt.Sprintf("config: the yaml tag of %s.%s must be the field's name, in the option's upper and lower case", section, field.Name))
		}
		name := prefix + tag
		place := append(slices.Clone(index), i)
		if field.Type.Kind() == reflect.Struct {
			found = append(found, optionsOf(field.Type, name+".", place)...)
			continue
		}
		secret := field.Tag.Get("loggable") == "false"
		found = append(found, Option{Name: name, Owner: section, Field: field, index: place, secret: secret})
	}
	return found
}

// Flag is how the option is given as an argument.
func (o Option) Flag() string {
	return "--" + o.Name
}

// Variable is the environment variable for the option.
func (o Option) Variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.Name, ".", "_"))
}

// InFile reports whether the configuration file can contain the option: it can't name itself.
func (o Option) InFile() bool {
	return o.Name != "configFile"
}

// Value returns the option's value in settings.
func (o Option) Value(s *Settings) any {
	return o.field(s).Interface()
}

func (o Option) field(s *Settings) reflect.Value {
	return reflect.ValueOf(s).Elem().FieldByIndex(o.index)
}

func (o Option) kind() reflect.Type {
	return o.Field.Type
}

// allowed describes what the option accepts.
func (o Option) allowed() string {
	switch {
	case o.kind() == durationType:
		return "a duration such as 90s, 10m or 1h"
	case o.kind() == listType && o.secret:
		return "a list of entries; in YAML, write an entry without a space after its colon"
	case o.kind() == listType:
		return "a list"
	case o.kind().Kind() == reflect.Bool:
		return "true or false"
	case o.kind().Kind() == reflect.Int:
		return "a number"
	default:
		return "a single value"
	}
}

// findOption ignores case, as paerser does.
func findOption(name string) (Option, bool) {
	for _, o := range options {
		if strings.EqualFold(o.Name, name) {
			return o, true
		}
	}
	return Option{}, false
}

// suggestion ends an error about an unknown name: it proposes the most similar option, if one is similar enough.
func suggestion(unknown string, spell func(Option) string) string {
	best, distance := "", len(unknown)/2+1
	for _, o := range options {
		known := spell(o)
		if d := editDistance(strings.ToLower(unknown), strings.ToLower(known)); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return "; --help lists all options"
	}
	return "; did you mean " + best + "?"
}

// editDistance is the Levenshtein distance: how many letters have to be changed, added or removed.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
