package dnschallenge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/mholt/acmez/v3/acme"
)

// recorder is a provider that records its calls.
type recorder struct {
	calls []string
	err   error // of Present
}

func (r *recorder) Present(_, token, _ string) error {
	r.calls = append(r.calls, "present "+token)
	return r.err
}

func (r *recorder) CleanUp(_, token, _ string) error {
	r.calls = append(r.calls, "clean up "+token)
	return nil
}

func challengeFor(token string) acme.Challenge {
	return acme.Challenge{Identifier: acme.Identifier{Type: "dns", Value: "example.com"}, Token: token, KeyAuthorization: token + ".key"}
}

// soon is a context for calls that should not wait.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestOneRecordAtATime(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	s := NewSolver(&Provider{lego: r, oneAtATime: true, mask: strings.NewReplacer()}, slog.New(slog.DiscardHandler))
	one, two := challengeFor("one"), challengeFor("two")
	if err := s.Present(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if err := s.Present(soon(t), two); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the first record is there, the second: %v", err)
	}
	_ = s.CleanUp(t.Context(), two) // as acmez does
	_ = s.CleanUp(t.Context(), one)
	if err := s.Present(t.Context(), two); err != nil {
		t.Error(err)
	}
	_ = s.CleanUp(t.Context(), two)
	if want := []string{"present one", "clean up one", "present two", "clean up two"}; !slices.Equal(r.calls, want) {
		t.Errorf("%v", r.calls)
	}
	s.provider.sequence = time.Hour
	if err := s.Present(soon(t), one); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("within the pause: %v", err)
	}
}

func TestSeveralRecordsAtATime(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	s := NewSolver(&Provider{lego: r, mask: strings.NewReplacer()}, slog.New(slog.DiscardHandler))
	for _, token := range []string{"one", "two"} {
		if err := s.Present(soon(t), challengeFor(token)); err != nil {
			t.Error(err)
		}
	}
	for _, token := range []string{"one", "two"} {
		_ = s.CleanUp(t.Context(), challengeFor(token))
	}
	if want := []string{"present one", "present two", "clean up one", "clean up two"}; !slices.Equal(r.calls, want) {
		t.Errorf("%v", r.calls)
	}
}

// A record that was not set is not removed, and does not block other challenges.
func TestPresentFails(t *testing.T) {
	t.Parallel()
	r := &recorder{err: errors.New("no")}
	s := NewSolver(&Provider{lego: r, oneAtATime: true, mask: strings.NewReplacer()}, slog.New(slog.DiscardHandler))
	for range 2 {
		var failure *Error
		if err := s.Present(soon(t), challengeFor("one")); !errors.As(err, &failure) {
			t.Errorf("%v", err)
		}
		_ = s.CleanUp(t.Context(), challengeFor("one"))
	}
	if want := []string{"present one", "present one"}; !slices.Equal(r.calls, want) {
		t.Errorf("%v", r.calls)
	}
}

// knowing is a provider that knows which of its nameservers have a record.
type knowing struct {
	recorder
	states []error // for one question each; then it has no more
}

func (k *knowing) InSync(context.Context, string) error {
	state := k.states[0]
	k.states = k.states[1:]
	return state
}

type advice struct{ error }

func (advice) Check() string { return "the policy" }

// An error that waiting does not mend ends the wait, and says what to look at.
func TestProviderThatKnowsItsNameservers(t *testing.T) {
	t.Parallel()
	k := &knowing{states: []error{errors.New("not yet"), advice{errors.New("not allowed, says\nhidden-key")}}}
	var log strings.Builder
	p := &Provider{entry: entry{name: "example"}, lego: k, mask: strings.NewReplacer("hidden-key", "****"), timeout: time.Hour}
	s := NewSolver(p, slog.New(slog.NewTextHandler(&log, nil)))
	err := s.Wait(t.Context(), challengeFor("one"))
	var failure *Error
	if !errors.As(err, &failure) || failure.Check != "the policy" || failure.Detail != "not allowed, says ****" || !strings.Contains(failure.Cause, "example does not tell whether its nameservers have the record") {
		t.Errorf("%+v", err)
	}
	if !strings.Contains(log.String(), `reason="not yet"`) {
		t.Error(log.String())
	}
}

// late is a context that has not ended at its deadline.
type late struct {
	context.Context //nolint:containedctx // it is one

	deadline time.Time
}

func (l late) Deadline() (time.Time, bool) { return l.deadline, true }

// TestReasonBeforeTheDeadline is that of the last complete look: the next one was only cut short.
func TestReasonBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	last, timeout := errors.New("not on ns2 yet"), errors.New("i/o timeout")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx        context.Context
		last, want error
	}{
		"in time":                {late{t.Context(), time.Now().Add(time.Hour)}, last, timeout},
		"at the deadline":        {late{t.Context(), time.Now()}, last, last},
		"after the context":      {ended, last, last},
		"without an earlier one": {ended, nil, timeout},
	} {
		s := NewSolver(&Provider{lego: &knowing{states: []error{timeout}}}, slog.New(slog.DiscardHandler))
		if got := s.look(c.ctx, dns01.ChallengeInfo{}, c.last); !errors.Is(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
