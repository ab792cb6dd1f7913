package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const mask = "****"

// Show writes every option with its value, secrets masked, and where the value came from.
func (l *Loaded) Show(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, o := range options {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", o.name, l.shown(o), l.source(o))
	}
	return table.Flush()
}

func (l *Loaded) source(o option) string {
	if source, given := l.sources[o.name]; given {
		return source
	}
	if o.name == "configFile" && l.ConfigFile != "" {
		return "found"
	}
	return "default"
}

func (l *Loaded) shown(o option) string {
	switch {
	case o.name == "access.keys":
		return orDash(strings.Join(masked(l.Access.Keys), ", "))
	case o.name == "acme.eab.hmacKey" && l.ACME.EAB.HMACKey != "":
		return mask
	case o.kind == listType:
		return orDash(strings.Join(o.value(&l.Settings).([]string), ", "))
	default:
		return orDash(fmt.Sprint(o.value(&l.Settings)))
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// masked leaves of each key its name and its attributes.
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

// Changed names the options whose values differ between the two.
func Changed(before, after *Settings) []string {
	var names []string
	for _, o := range options {
		if fmt.Sprint(o.value(before)) != fmt.Sprint(o.value(after)) {
			names = append(names, o.name)
		}
	}
	return names
}
