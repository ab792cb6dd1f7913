package config

import (
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/traefik/paerser/types"
)

// option is one setting and its place in Settings.
type option struct {
	name  string // as in listen.https
	index []int  // of the field
	kind  reflect.Type
}

var (
	durationType = reflect.TypeFor[types.Duration]()
	listType     = reflect.TypeFor[[]string]()
)

// options are all there are, in the order of Settings.
var options = optionsOf(reflect.TypeFor[Settings](), "", nil)

func optionsOf(section reflect.Type, prefix string, index []int) []option {
	var found []option
	for i := range section.NumField() {
		field := section.Field(i)
		name := prefix + optionName(field.Name)
		place := append(slices.Clone(index), i)
		if field.Type.Kind() == reflect.Struct {
			found = append(found, optionsOf(field.Type, name+".", place)...)
			continue
		}
		found = append(found, option{name: name, index: place, kind: field.Type})
	}
	return found
}

// optionName makes the small letter in front, or the abbreviation: KeyID is keyID, HMACKey hmacKey, HTTP3 http3.
func optionName(field string) string {
	letters := []rune(field)
	for i, letter := range letters {
		next := i + 1
		if !unicode.IsUpper(letter) || i > 0 && next < len(letters) && unicode.IsLower(letters[next]) {
			break
		}
		letters[i] = unicode.ToLower(letter)
	}
	return string(letters)
}

func (o option) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.name, ".", "_"))
}

func (o option) value(s *Settings) any {
	return reflect.ValueOf(s).Elem().FieldByIndex(o.index).Interface()
}

// isSecret is true of what no output may show.
func (o option) isSecret() bool {
	return o.name == "access.keys" || o.name == "acme.eab.hmacKey"
}

// allowed says what the option takes.
func (o option) allowed() string {
	switch {
	case o.kind == durationType:
		return "a duration such as 90s, 10m or 1h"
	case o.name == "access.keys":
		return "a list of entries; in YAML, an entry has no blank after its colon"
	case o.kind == listType:
		return "a list"
	case o.kind.Kind() == reflect.Bool:
		return "true or false"
	case o.kind.Kind() == reflect.Int:
		return "a number"
	default:
		return "one value"
	}
}

// findOption ignores case, as environment variables have none.
func findOption(name string) (option, bool) {
	for _, o := range options {
		if strings.EqualFold(o.name, name) {
			return o, true
		}
	}
	return option{}, false
}

// suggestion ends an error about an unknown name with the nearest of the known ones, if one is near.
func suggestion(unknown string, spell func(option) string) string {
	best, distance := "", len(unknown)/2+1
	for _, o := range options {
		known := spell(o)
		if d := editDistance(strings.ToLower(unknown), strings.ToLower(known)); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return "; --help shows all options"
	}
	return "; did you mean " + best + "?"
}

// editDistance is Levenshtein's: how many letters to change, add or take away.
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
