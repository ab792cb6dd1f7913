package dnschallenge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/mholt/acmez/v3/acme"
)

// Error is a challenge that could not be answered. It contains no secret.
type Error struct {
	Cause  string // in plain language
	Check  string // what to look at
	Detail string // what the provider or the nameservers said
}

func (e *Error) Error() string {
	return e.Cause + ": " + e.Detail
}

// advised is an error that waiting does not mend, of a provider that knows what to look at.
type advised interface {
	error
	Check() string
}

// Solver is an acmez.Solver and acmez.Waiter. Certificates for several domains may be ordered at the same time.
type Solver struct {
	provider *Provider
	logger   *slog.Logger

	turn chan struct{} // has one token, which is needed to use the provider

	mu        sync.Mutex
	presented map[string]bool // guarded by mu; by the record's value
	ended     time.Time       // guarded by mu; the last challenge
}

// NewSolver returns a solver that sets records at the provider.
func NewSolver(provider *Provider, logger *slog.Logger) *Solver {
	s := &Solver{provider: provider, logger: logger, turn: make(chan struct{}, 1), presented: map[string]bool{}}
	s.turn <- struct{}{}
	return s
}

// Present sets the record. With providers that can have only one of a name, other challenges wait until this one is cleaned up.
func (s *Solver) Present(ctx context.Context, challenge acme.Challenge) error {
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	err := s.provider.lego.Present(challenge.Identifier.Value, challenge.Token, challenge.KeyAuthorization)
	if err != nil || !s.provider.oneAtATime {
		s.turn <- struct{}{}
	}
	if err != nil {
		return s.provider.refused(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.presented[challenge.DNS01KeyAuthorization()] = true
	return nil
}

// takeTurn waits until no other challenge uses the provider, and until the pause that it needs between two challenges is over.
func (s *Solver) takeTurn(ctx context.Context) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	pause := time.Until(s.ended.Add(s.provider.sequence))
	s.mu.Unlock()
	if pause <= 0 {
		return nil
	}
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		s.turn <- struct{}{}
		return ctx.Err()
	}
}

// Wait returns when all nameservers of the zone have the record.
func (s *Solver) Wait(ctx context.Context, challenge acme.Challenge) error {
	record := dns01.GetChallengeInfo(challenge.Identifier.Value, challenge.KeyAuthorization)
	ctx, cancel := context.WithTimeoutCause(ctx, s.provider.timeout, errPropagation)
	defer cancel()
	var reason error
	for first := true; ; first = false {
		if reason = s.look(ctx, record, reason); reason == nil {
			return nil
		}
		if _, final := errors.AsType[advised](reason); final {
			failure := s.provider.refused(reason)
			failure.Cause = "the DNS provider " + s.provider.name + " does not tell whether its nameservers have the record"
			return failure
		}
		if first {
			s.logger.Info("waiting for a DNS record to show", "domain", challenge.Identifier.Value, "record", record.EffectiveFQDN,
				"reason", s.provider.masked(reason), "at_most", s.provider.timeout)
		}
		select {
		case <-time.After(max(s.provider.interval, time.Second)):
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errPropagation) {
				return ctx.Err()
			}
			return s.provider.slow(record, reason)
		}
	}
}

var errPropagation = errors.New("the record does not show in time")

// look waits. If it times out, the error is the last reason.
func (s *Solver) look(ctx context.Context, record dns01.ChallengeInfo, last error) error {
	reason := s.provider.shows(ctx, record)
	if reason != nil && last != nil && isOver(ctx) {
		return last
	}
	return reason
}

// isOver is true at the deadline, although a query that ends there may be a moment ahead of the context.
func isOver(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(deadline)
}

// inSync is implemented by providers that know whether all of their nameservers have a record. Which one the CA queries depends on where
// it is.
type inSync interface {
	InSync(ctx context.Context, value string) error
}

func (p *Provider) shows(ctx context.Context, record dns01.ChallengeInfo) error {
	if provider, is := p.lego.(inSync); is {
		if err := provider.InSync(ctx, record.Value); err != nil {
			return err
		}
	}
	return shows(ctx, record.EffectiveFQDN, record.Value)
}

// CleanUp removes the record if there is one, even if the context has ended.
func (s *Solver) CleanUp(_ context.Context, challenge acme.Challenge) error {
	value := challenge.DNS01KeyAuthorization()
	s.mu.Lock()
	presented := s.presented[value]
	delete(s.presented, value)
	s.mu.Unlock()
	if !presented {
		return nil
	}
	if !s.provider.oneAtATime { // else it is still ours
		<-s.turn
	}
	err := s.provider.lego.CleanUp(challenge.Identifier.Value, challenge.Token, challenge.KeyAuthorization)
	s.mu.Lock()
	s.ended = time.Now()
	s.mu.Unlock()
	s.turn <- struct{}{}
	if err != nil {
		s.logger.Warn("a DNS record of a challenge could not be removed; it does no harm", "domain", challenge.Identifier.Value,
			"provider", s.provider.name, "error", s.provider.masked(err))
	}
	return nil
}

// refused explains why the record could not be set.
func (p *Provider) refused(err error) *Error {
	detail := p.hide(err.Error())
	if unreachable(err) {
		return &Error{
			Cause:  "the DNS provider " + p.name + " can't be reached",
			Check:  "does this machine reach the provider; is the provider up",
			Detail: detail,
		}
	}
	check := "does the provider hold this domain's zone"
	if given := p.given(); len(given) > 0 {
		check = fmt.Sprintf("is %s right, and may it change this zone", strings.Join(given, " or "))
	}
	if p.name == "exec" {
		check = "what the program wrote, in the lines before"
	}
	if advice, is := errors.AsType[advised](err); is && advice.Check() != "" {
		check = advice.Check()
	}
	return &Error{Cause: "the DNS provider " + p.name + " did not set the record", Check: check, Detail: detail}
}

func unreachable(err error) bool {
	_, operation := errors.AsType[*net.OpError](err)
	_, lookup := errors.AsType[*net.DNSError](err)
	timeout, is := errors.AsType[net.Error](err)
	return operation || lookup || is && timeout.Timeout()
}

func (p *Provider) slow(record dns01.ChallengeInfo, reason error) *Error {
	check := "are these the nameservers of the zone that " + p.name + " changes"
	if p.prefix != "" {
		check += fmt.Sprintf("; if they are only slow, set %s_PROPAGATION_TIMEOUT to more seconds", p.prefix)
	}
	return &Error{
		Cause:  fmt.Sprintf("the DNS record does not show after %s", p.timeout),
		Check:  check,
		Detail: fmt.Sprintf("%s: %s", strings.TrimSuffix(record.EffectiveFQDN, "."), p.masked(reason)),
	}
}
