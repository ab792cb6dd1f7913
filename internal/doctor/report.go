package doctor

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Level is how much a finding matters.
type Level string

// From the worst.
const (
	Problem Level = "problem" // breaks something
	Warning Level = "warning" // works, but not as it should
	Note    Level = "note"    // good to know; may be intended
	Skipped Level = "skipped" // not tested
	Passed  Level = "passed"
)

var levels = []Level{Problem, Warning, Note, Skipped, Passed}

// Finding is one result. Passed and Skipped ones have only ID, Area and Seen.
type Finding struct {
	ID     string  `json:"id"`
	Level  Level   `json:"level"`
	Area   string  `json:"area"`
	Title  string  `json:"title,omitempty"`
	Seen   string  `json:"seen,omitempty"`   // the observation
	Breaks string  `json:"breaks,omitempty"` // the consequences for Immich's users
	Fix    *Remedy `json:"fix,omitempty"`
}

// Remedy is what to change, and where.
type Remedy struct {
	Proxy string   `json:"proxy,omitempty"` // empty if it does not depend on the proxy
	Where string   `json:"where"`
	Lines []string `json:"lines,omitempty"` // to be written there
}

// Report is the result of an examination.
type Report struct {
	URL      string    `json:"url"`
	Proxy    []string  `json:"proxy"`            // who answers, as guessed, the outermost first
	Traces   string    `json:"proxyTraces"`      // why
	Immich   string    `json:"immich,omitempty"` // its version
	Findings []Finding `json:"findings"`
	Verdict  string    `json:"verdict"`
}

// Broken reports whether a finding breaks something.
func (r *Report) Broken() bool {
	return r.count(Problem) > 0
}

func (r *Report) count(level Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// finish adds the remedies, which depend on the proxy, and sorts the findings, the worst first. It removes from all texts every
// secret, and control characters that a server could send to a terminal.
func (r *Report) finish(guess guess, redact func(string) string) {
	r.Proxy, r.Traces = guess.names(), redact(guess.traces)
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Title, f.Seen, f.Breaks = printable(redact(f.Title)), printable(redact(f.Seen)), printable(redact(f.Breaks))
		if f.Fix == nil && f.Title != "" {
			f.Fix = remedyFor(f.ID, guess.proxies)
		}
		if f.Fix == nil && (f.Level == Problem || f.Level == Warning) {
			f.Fix = &Remedy{Where: "docs/doctor.md#" + f.ID + " describes it for each proxy"}
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if a.Level != b.Level {
			return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
		}
		return rank(a) - rank(b)
	})
	r.Traces, r.Immich = printable(r.Traces), printable(redact(r.Immich))
	r.Verdict = r.verdict()
}

// rank puts first what causes the most trouble. What is not a fault stays in the order of the tests.
func rank(f Finding) int {
	if f.Title == "" {
		return 0
	}
	return slices.Index([]string{
		areaCertificate, areaKey, areaImmich, areaUpload, areaWebSocket, areaApp, areaMedia, areaLinks, areaAddress, areaHTTP, areaName,
	}, f.Area)
}

func (r *Report) verdict() string {
	problems, warnings := r.count(Problem), r.count(Warning)
	switch {
	case problems == 0 && warnings == 0:
		return "All is well."
	case problems == 0:
		return fmt.Sprintf("Nothing is broken; %s could be better.", plural(warnings, "thing"))
	case warnings == 0:
		return fmt.Sprintf("%s to fix.", plural(problems, "problem"))
	default:
		return fmt.Sprintf("%s to fix, and %s could be better.", plural(problems, "problem"), plural(warnings, "thing"))
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// redact removes the key from what a server sent, and from errors.
func (e *examination) redact(text string) string {
	if e.Key == "" {
		return text
	}
	return strings.ReplaceAll(text, e.Key, "****")
}
