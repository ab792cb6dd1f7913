// Package route53 sets the TXT records of ACME challenges in Amazon Route 53. lego's provider of that name does the same with the SDK of
// AWS, which is several times as large as the rest of the challenge; this one reads the same environment variables.
package route53

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-acme/lego/v4/challenge/dns01"
)

// callTime limits what sets or removes a record, retries included.
const callTime = 2 * time.Minute

// Provider is a challenge.ProviderTimeout of lego. It is safe for concurrent use.
type Provider struct {
	*client

	mu      sync.Mutex
	changes map[string]string // guarded by mu; by a record's value, the ID of the change that has set it
}

// New reads the settings with getenv, which returns an empty string for a variable that is not set. The error is a *SettingsError that
// names the variables. New sends nothing.
func New(getenv func(name string) string) (*Provider, error) {
	s, err := readSettings(getenv)
	if err != nil {
		return nil, err
	}
	return &Provider{client: newClient(s), changes: map[string]string{}}, nil
}

// Timeout returns how long a record may take to show, and the time between two looks.
func (p *Provider) Timeout() (timeout, interval time.Duration) {
	return p.propagationTimeout, p.pollingInterval
}

// Present adds a value to the TXT record of the challenge.
func (p *Provider) Present(domain, _, keyAuth string) error {
	challenge := dns01.GetChallengeInfo(domain, keyAuth)
	id, err := p.edit(challenge.EffectiveFQDN, func(values []string) []string {
		if slices.Contains(values, quote(challenge.Value)) {
			return values
		}
		return append(slices.Clone(values), quote(challenge.Value))
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes[challenge.Value] = id
	return nil
}

// CleanUp removes what Present has added. Other values of the same record remain.
func (p *Provider) CleanUp(domain, _, keyAuth string) error {
	challenge := dns01.GetChallengeInfo(domain, keyAuth)
	p.mu.Lock()
	delete(p.changes, challenge.Value)
	p.mu.Unlock()
	_, err := p.edit(challenge.EffectiveFQDN, func(values []string) []string {
		return slices.DeleteFunc(slices.Clone(values), func(value string) bool { return value == quote(challenge.Value) })
	})
	return err
}

// InSync returns nil when all nameservers of Route 53 have the value that Present has added.
func (p *Provider) InSync(ctx context.Context, value string) error {
	p.mu.Lock()
	id := p.changes[value]
	p.mu.Unlock()
	if id == "" || !p.waitForChanges { // the record was there before
		return nil
	}
	status, err := p.changeStatus(ctx, id)
	switch {
	case isTemporary(err):
		return errors.New(err.Error()) // no failure, so that it is tried again
	case err == nil && status != inSync:
		return fmt.Errorf("not on all nameservers of Route 53 yet (%s)", status)
	}
	return err
}

// quote is how Route 53 writes the value of a TXT record.
func quote(value string) string {
	return `"` + value + `"`
}

// edit changes the values of a TXT record, and returns the ID of the change; none if there is nothing to change.
func (p *Provider) edit(fqdn string, change func(values []string) []string) (id string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	zone, err := p.zoneOf(ctx, fqdn)
	if err != nil {
		return "", err
	}
	before, err := p.textRecord(ctx, zone, fqdn)
	for err == nil {
		after := textRecord{name: fqdn, ttl: before.ttl, values: change(before.values)}
		if after.equals(before) {
			return "", nil
		}
		if len(before.values) == 0 {
			after.ttl = p.ttl
		}
		id, refused := p.replace(ctx, zone, before, after)
		if !hasCode(refused, invalidChangeBatch) {
			return id, refused
		}
		last := before // which another program may have changed
		if before, err = p.textRecord(ctx, zone, fqdn); err == nil && before.equals(last) {
			return "", refused
		}
	}
	return "", err
}

// zoneOf returns the ID of the hosted zone with the longest name that holds the record.
func (p *Provider) zoneOf(ctx context.Context, fqdn string) (id string, err error) {
	if p.hostedZoneID != "" {
		return p.hostedZoneID, nil
	}
	kind := "public"
	if p.privateZone {
		kind = "private"
	}
	for name := strings.TrimSuffix(fqdn, "."); name != ""; _, name, _ = strings.Cut(name, ".") {
		zones, err := p.zonesNamed(ctx, name)
		if err != nil {
			return "", err
		}
		zones = slices.DeleteFunc(zones, func(z hostedZone) bool { return z.Private != p.privateZone })
		switch len(zones) {
		case 0:
			continue
		case 1:
			return zones[0].id(), nil
		}
		return "", &failure{
			text:  fmt.Sprintf("%d %s hosted zones are named %s: %s", len(zones), kind, name, idsOf(zones)),
			check: "which of them has the nameservers that the registrar has; set AWS_HOSTED_ZONE_ID to its ID",
		}
	}
	return "", &failure{
		text:  fmt.Sprintf("there is no %s hosted zone for %s", kind, strings.TrimSuffix(fqdn, ".")),
		check: fmt.Sprintf("is the key, %s, one of the AWS account that has the zone", p.keySource),
	}
}

func idsOf(zones []hostedZone) string {
	var ids []string
	for _, zone := range zones {
		ids = append(ids, zone.id())
	}
	return strings.Join(ids, ", ")
}
