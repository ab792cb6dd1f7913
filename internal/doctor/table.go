package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	narrowest = 60
	widest    = 110 // longer lines are hard to read
	labels    = 10  // columns for "change" and its like
)

// Style is how a report is printed.
type Style struct {
	Width int
	Color bool
}

// colors of a terminal, by level.
var colors = map[Level]string{Problem: "\x1b[31m", Warning: "\x1b[33m", Note: "\x1b[36m", Skipped: "\x1b[2m", Passed: "\x1b[32m"}

var marks = map[Level]string{Problem: "✗", Warning: "!", Note: "i", Skipped: "–", Passed: "✓"}

const (
	bold  = "\x1b[1m"
	faint = "\x1b[2m"
	plain = "\x1b[0m"
)

// WriteTable prints the report for people: first the problems, then what is in order, then the verdict.
func (r *Report) WriteTable(w io.Writer, style Style) error {
	style.Width = min(max(style.Width, narrowest), widest)
	t := &table{Style: style}
	t.heading(r)
	for _, f := range r.Findings {
		if f.Title != "" {
			t.finding(f)
		}
	}
	for _, f := range r.Findings {
		if f.Title == "" && f.Level == Passed {
			t.row(f)
		}
	}
	for _, f := range r.Findings {
		if f.Title == "" && f.Level == Skipped {
			t.row(f)
		}
	}
	t.verdict(r)
	_, err := io.WriteString(w, t.text.String())
	return err
}

type table struct {
	Style
	text strings.Builder
	rows int
}

func (t *table) heading(r *Report) {
	proxy := "an unknown proxy, or none"
	if len(r.Proxy) > 0 {
		proxy = strings.Join(r.Proxy, ", then ") + t.paint(faint, " ("+shorten(r.Traces, t.Width-30)+")")
	}
	fmt.Fprintf(&t.text, "\n%s\nanswered by %s\n\n", t.paint(bold, r.URL), proxy)
}

// finding prints a block: the title, and below it what was seen, what it breaks, what to change.
func (t *table) finding(f Finding) {
	title := f.Title
	fill := t.Width - 3 - utf8.RuneCountInString(title) - utf8.RuneCountInString(f.ID)
	if fill < 2 {
		title = shorten(title, t.Width-6-utf8.RuneCountInString(f.ID))
		fill = t.Width - 3 - utf8.RuneCountInString(title) - utf8.RuneCountInString(f.ID)
	}
	fmt.Fprintf(&t.text, "%s %s%s%s\n", t.paint(colors[f.Level], marks[f.Level]), t.paint(bold, title), strings.Repeat(" ", fill+1), t.paint(faint, f.ID))
	if title != f.Title {
		t.labelled("", f.Title)
	}
	t.labelled("seen", f.Seen)
	if f.Level == Note {
		t.labelled("means", f.Breaks)
	} else {
		t.labelled("breaks", f.Breaks)
	}
	if f.Fix != nil {
		t.labelled("change", f.Fix.Where)
		for _, line := range f.Fix.Lines {
			t.indented(strings.Repeat(" ", labels+2), t.paintAll(bold, wrap(line, t.Width-labels-4)))
		}
	}
	t.text.WriteByte('\n')
}

func (t *table) labelled(label, text string) {
	if text == "" {
		return
	}
	lines := wrap(text, t.Width-labels-2)
	fmt.Fprintf(&t.text, "  %s%s\n", t.paint(faint, fmt.Sprintf("%-*s", labels-2, label)), lines[0])
	t.indented(strings.Repeat(" ", labels), lines[1:])
}

func (t *table) indented(indent string, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(&t.text, "%s%s\n", indent, line)
	}
}

// row prints a line about what is in order, or was not tested.
func (t *table) row(f Finding) {
	const area = 16
	lines := wrap(f.Seen, t.Width-area-2)
	fmt.Fprintf(&t.text, "%s %-*s%s\n", t.paint(colors[f.Level], marks[f.Level]), area, f.Area, lines[0])
	t.indented(strings.Repeat(" ", area+2), lines[1:])
	t.rows++
}

func (t *table) verdict(r *Report) {
	color := colors[Passed]
	switch {
	case r.Broken():
		color = colors[Problem]
	case r.count(Warning) > 0:
		color = colors[Warning]
	}
	if t.rows > 0 {
		t.text.WriteByte('\n')
	}
	fmt.Fprintf(&t.text, "%s\n", t.paint(bold+color, r.Verdict))
}

func (t *table) paint(color, text string) string {
	if !t.Color || text == "" {
		return text
	}
	return color + text + plain
}

func (t *table) paintAll(color string, lines []string) []string {
	for i, line := range lines {
		lines[i] = t.paint(color, line)
	}
	return lines
}

// wrap breaks text at blanks; a word that is too long for a line has one of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
