package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const mask = "****"

// Show writes every option with its value, secrets masked, and where the value comes from.
func (l *Loaded) Show(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, o := range options {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", o.Name, l.shown(o), l.source(o))
	}
	return table.Flush()
}

func (l *Loaded) source(o Option) string {
	if source, given := l.sources[o.Name]; given {
		return source
	}
	if !o.InFile() && l.ConfigFile != "" {
		return "found"
	}
	return "default"
}

func (l *Loaded) shown(o Option) string {
	value := o.Value(&l.Settings)
	list, isList := value.([]string)
	switch {
	case isList && o.secret:
		return orDash(strings.Join(masked(list), ", "))
	case isList:
		return orDash(strings.Join(list, ", "))
	case o.secret && value != "":
		return mask
	default:
		return orDash(fmt.Sprint(value))
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// masked keeps the name and the attributes of each key.
func masked(entries []string) []string {
	shown := make([]string, len(entries))
	for i, entry := range entries {
		fields := strings.Fields(entry)
		if len(fields) == 0 {
			continue
		}
		name, _, named := strings.Cut(fields[0], ":")
		fields[0] = mask
		if named && name != "sha256" {
			fields[0] = name + ":" + mask
		}
		shown[i] = strings.Join(fields, " ")
	}
	return shown
}

// Changed returns the names of the options whose values differ.
func Changed(before, after *Settings) []string {
	var names []string
	for _, o := range options {
		if fmt.Sprint(o.Value(before)) != fmt.Sprint(o.Value(after)) {
			names = append(names, o.Name)
		}
	}
	return names
}
