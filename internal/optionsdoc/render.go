package optionsdoc

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"
)

//go:embed reference.md.tmpl
var referenceText string

var referenceTemplate = template.Must(template.New("reference").Funcs(template.FuncMap{
	"markdown": markdown, "capitalized": capitalized,
}).Parse(referenceText))

// reference is the whole of docs/options.md.
func reference(groups []group) (string, error) {
	var out strings.Builder
	err := referenceTemplate.Execute(&out, groups)
	return out.String(), err
}

// readmeTable has the options of the plugin.
func readmeTable(groups []group) string {
	var table strings.Builder
	table.WriteString("\n| option | default | |\n|---|---|---|\n")
	for _, g := range groups {
		for _, o := range g.Options {
			if o.Label() == "" {
				continue
			}
			summary := strings.ReplaceAll(o.Summary(), `"access.`, `"`)
			fmt.Fprintf(&table, "| `%s` | %s | %s |\n", o.Short(), markdown(o.Default), strings.ReplaceAll(markdown(summary), "|", `\|`))
		}
	}
	return table.String() + "\n"
}

const (
	helpWidth  = 110
	helpIndent = 26 // of the descriptions
)

// helpList has all options, with a short description each.
func helpList(groups []group) string {
	var list strings.Builder
	for _, g := range groups {
		list.WriteString("\n")
		if g.Name != "" {
			fmt.Fprintf(&list, "%s: %s\n", g.Name, firstSentence(plain(g.Text)))
		}
		for _, o := range g.Options {
			writeHelp(&list, o)
		}
	}
	return list.String() + "\n"
}

func writeHelp(list *strings.Builder, o option) {
	name := "  " + o.Name
	if len(name) > helpIndent-2 {
		fmt.Fprintln(list, name)
		name = ""
	}
	for _, line := range wrapped(plain(o.Summary()+" (default: "+o.Default+")"), helpWidth-helpIndent) {
		fmt.Fprintf(list, "%-*s%s\n", helpIndent, name, line)
		name = ""
	}
}

// wrapped breaks a text into lines of up to so many characters.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line+" "+word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// markdown formats what is in quotes as code.
func markdown(text string) string {
	return quoted.ReplaceAllString(text, "`$1`")
}

// plain leaves the quotes out.
func plain(text string) string {
	return quoted.ReplaceAllString(text, "$1")
}

func capitalized(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// replaceBetween replaces what is between the line begin and the line end, each of which is there once.
func replaceBetween(text, begin, end, replacement string) (string, error) {
	before, rest, found := strings.Cut(text, begin+"\n")
	_, after, foundEnd := strings.Cut(rest, end+"\n")
	if !found || !foundEnd {
		return "", fmt.Errorf("the lines %q and %q are missing", begin, end)
	}
	return before + begin + "\n" + replacement + end + "\n" + after, nil
}
