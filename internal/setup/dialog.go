package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrEnded is returned when the user or the input ends the questions.
var ErrEnded = errors.New("ended before the last answer")

// UsageError tells of a flag that is missing, invalid, or without effect.
type UsageError struct{ error }

// Unwrap returns the reason.
func (e UsageError) Unwrap() error { return e.error }

// Dialog gets answers from flags, from defaults, or from the user.
type Dialog struct {
	Given    map[string]string // answers by the names of their flags
	Defaults bool              // the default is taken for each answer that is not given
	Lines    <-chan string     // what the user types; nil if there is nobody to ask
	Out      io.Writer         // where the questions are written

	used map[string]bool // the flags whose questions have come up
}

// Lines sends each line that is read, until the input ends.
func Lines(in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

const noAnswer = "none"

// question is about one answer.
type question struct {
	flag     string // also the prompt, so that the user gets to know it
	text     string // what is asked for
	fallback string // taken for an empty line; noAnswer where none is needed; "" where there has to be one
	// take keeps the answer, "" for none, or tells why it is wrong.
	take func(answer string) error
}

func (d *Dialog) ask(ctx context.Context, q question) error {
	if d.used == nil {
		d.used = map[string]bool{}
	}
	d.used[q.flag] = true
	answer, given := d.Given[q.flag]
	switch {
	case given:
	case d.Defaults && q.fallback != "":
		answer = q.fallback
	case d.Lines == nil:
		return UsageError{fmt.Errorf("--%s is missing, and there is no terminal to ask on; give it%s", q.flag, q.orDefault())}
	default:
		return d.converse(ctx, q)
	}
	if err := q.take(meaning(answer)); err != nil {
		return UsageError{fmt.Errorf("--%s: %w", q.flag, err)}
	}
	return nil
}

func (q question) orDefault() string {
	if q.fallback == "" {
		return ""
	}
	return ", or --yes for the defaults (here: " + q.fallback + ")"
}

func meaning(answer string) string {
	if answer = strings.TrimSpace(answer); answer == noAnswer {
		return ""
	}
	return answer
}

// converse asks until the answer is right.
func (d *Dialog) converse(ctx context.Context, q question) error {
	d.print("\n%s\n", q.text)
	for {
		d.print("  %s%s: ", q.flag, bracketed(q.fallback))
		line, err := d.readLine(ctx)
		if err != nil {
			return err
		}
		if strings.TrimSpace(line) == "" {
			line = q.fallback
		}
		if err = q.take(meaning(line)); err == nil {
			return nil
		}
		d.print("    %v\n", err)
	}
}

func bracketed(fallback string) string {
	if fallback == "" {
		return ""
	}
	return " [" + fallback + "]"
}

func (d *Dialog) readLine(ctx context.Context) (string, error) {
	select {
	case line, open := <-d.Lines:
		if open {
			return line, nil
		}
	case <-ctx.Done():
	}
	d.print("\n")
	return "", ErrEnded
}

// checkUsed finds the flags whose questions did not come up.
func (d *Dialog) checkUsed(certificate string) error {
	var errs []error
	for flag := range d.Given {
		if !d.used[flag] {
			errs = append(errs, fmt.Errorf("--%s has no effect with --certificate=%s; leave it out", flag, certificate))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if len(errs) > 0 {
		return UsageError{errors.Join(errs...)}
	}
	return nil
}

func (d *Dialog) print(format string, args ...any) {
	fmt.Fprintf(d.Out, format, args...)
}
