// Package optionsdoc writes what users read about the options: the reference in docs/options.md, the list in --help, and the
// README's table. It takes everything from the option's definition: its name from the tag of the field, its description from
// the comment, its type and default from the code. Its test compares the files with the code, and with -update writes them.
package optionsdoc

import (
	"errors"
	"fmt"
	"os"
	"path"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/traefik/paerser/types"
)

// group is a section of the configuration, such as listen, or the options outside of every section.
type group struct {
	Name    string // "" outside of every section
	Text    string // what the section is for
	Options []option
}

// option is the description of an option for users.
type option struct {
	config.Option
	Type    string
	Default string // a value in quotes, or a phrase such as "none"
	Text    string // without the field's name and the default
}

// documented reads the comments in the directories of the structs.
func documented(directories ...string) ([]group, error) {
	comments, err := readComments(directories...)
	if err != nil {
		return nil, err
	}
	defaults := config.Defaults()
	var groups []group
	for _, o := range config.Options() {
		described, err := describe(o, comments, defaults)
		if err != nil {
			return nil, fmt.Errorf("%s: the comment of %s.%s %w", o.Name, o.Owner, o.Field.Name, err)
		}
		section := ""
		if name, _, nested := strings.Cut(o.Name, "."); nested {
			section = name
		}
		if len(groups) == 0 || groups[len(groups)-1].Name != section {
			groups = append(groups, group{Name: section, Text: comments.ofSection(section)})
		}
		last := &groups[len(groups)-1]
		last.Options = append(last.Options, described)
	}
	return groups, nil
}

// defaultSentence ends every comment.
var defaultSentence = regexp.MustCompile(`^(.*\.) Default: (.+)\.$`)

func describe(o config.Option, comments comments, defaults *config.Settings) (option, error) {
	comment := comments[o.Owner.String()+"."+o.Field.Name]
	parts := defaultSentence.FindStringSubmatch(comment)
	if parts == nil {
		return option{}, errors.New(`has to describe the option and to end with "Default: VALUE." or "Default: none."`)
	}
	text, found := withoutSubject(parts[1], o.Field.Name)
	if !found {
		return option{}, fmt.Errorf("has to begin with %s", o.Field.Name)
	}
	text, err := resolveLinks(text)
	if err != nil {
		return option{}, err
	}
	value := o.Value(defaults)
	if !isDefault(parts[2], value) {
		return option{}, fmt.Errorf("says that the default is %q, but it is %q", parts[2], textOf(value))
	}
	fallback := parts[2]
	if textOf(value) != "" {
		fallback = `"` + fallback + `"`
	}
	return option{Option: o, Type: typeOf(value), Default: fallback, Text: text}, nil
}

// isDefault compares with the value in the code. If that is empty, the comment describes the default.
func isDefault(text string, value any) bool {
	if duration, is := value.(types.Duration); is {
		stated, err := time.ParseDuration(text)
		return err == nil && stated == time.Duration(duration)
	}
	return textOf(value) == "" || textOf(value) == text
}

// textOf is a value as a user writes it.
func textOf(value any) string {
	switch value := value.(type) {
	case []string:
		return strings.Join(value, ", ")
	case string:
		if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(value, home+"/") {
			return "~" + strings.TrimPrefix(value, home)
		}
		return value
	default:
		return fmt.Sprint(value)
	}
}

var size = regexp.MustCompile(`^[0-9]+[kKmMgG]$`)

// typeOf names a type for users. An option that is a string in Config has the type of its default.
func typeOf(value any) string {
	switch value := value.(type) {
	case []string:
		return "list"
	case bool:
		return "true or false"
	case int:
		return "number"
	case types.Duration:
		return "duration"
	case string:
		return typeOfText(value)
	default:
		return reflect.TypeOf(value).String()
	}
}

func typeOfText(text string) string {
	if _, err := strconv.Atoi(text); err == nil {
		return "number"
	}
	if _, err := time.ParseDuration(text); err == nil {
		return "duration"
	}
	switch {
	case text == "true" || text == "false":
		return "true or false"
	case size.MatchString(text):
		return "size"
	default:
		return "text"
	}
}

// withoutSubject turns "Keys are the access keys." into "the access keys."
func withoutSubject(comment, subject string) (string, bool) {
	text, found := strings.CutPrefix(comment, subject+" ")
	text = strings.TrimPrefix(text, "is ")
	return strings.TrimPrefix(text, "are "), found
}

// docLink is a link to a field, as go doc knows it: [Config.Keys].
var docLink = regexp.MustCompile(`\[(\w+)\.(\w+)\]`)

// resolveLinks replaces links to fields by the names of the options, in quotes.
func resolveLinks(text string) (string, error) {
	var err error
	resolved := docLink.ReplaceAllStringFunc(text, func(link string) string {
		parts := docLink.FindStringSubmatch(link)
		for _, o := range config.Options() {
			if o.Owner.Name() == parts[1] && o.Field.Name == parts[2] {
				return `"` + o.Name + `"`
			}
		}
		err = fmt.Errorf("links to %s, which is no option", link)
		return link
	})
	return resolved, err
}

// Label is the Docker label of an option that the plugin has, else nothing.
func (o option) Label() string {
	if name, inPlugin := strings.CutPrefix(o.Name, "access."); inPlugin {
		return "traefik.http.middlewares.NAME.plugin.immichaccess." + name
	}
	return ""
}

// YAML is the option as it is written in the proxy's file.
func (o option) YAML() string {
	return nested(o.Name)
}

// PluginYAML is the option as it is written in a middleware.
func (o option) PluginYAML() string {
	return nested("plugin.immichaccess." + o.Short())
}

// nested turns a.b into a: {b: …}.
func nested(name string) string {
	return strings.ReplaceAll(name, ".", ": {") + ": …" + strings.Repeat("}", strings.Count(name, "."))
}

// Short is the name that the option has in the plugin.
func (o option) Short() string {
	return path.Ext("." + o.Name)[1:]
}

// Summary is the first sentence of the description.
func (o option) Summary() string {
	return firstSentence(o.Text)
}

func firstSentence(text string) string {
	sentence, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(sentence, ".")
}
