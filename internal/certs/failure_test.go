package certs

import (
	"errors"
	"strings"
	"testing"

	"github.com/mholt/acmez/v3/acme"
)

// TestExplainLetsEncrypt has what Let's Encrypt answers in cases that Pebble does not know.
func TestExplainLetsEncrypt(t *testing.T) {
	t.Parallel()
	const domain, kinds = "photos.invalid", "urn:ietf:params:acme:error:"
	ofChallenge := acme.Authorization{}
	for name, c := range map[string]struct {
		problem    acme.Problem
		challenges []failedChallenge
		cause      string
		check      string
	}{
		"rate limit": {
			problem: acme.Problem{Status: 429, Type: kinds + "rateLimited", Detail: "too many failed authorizations (5) for \"photos.invalid\" in the last 1h0m0s, retry after 2026-11-24 21:00:00 UTC"},
			cause:   "the CA's rate limit is reached", check: "acme-staging",
		},
		"CAA": {
			problem: acme.Problem{Status: 403, Type: kinds + "caa", Detail: "CAA record for photos.invalid prevents issuance", Resource: ofChallenge},
			cause:   "a CAA record in DNS forbids this CA to issue", check: "the CAA records of photos.invalid",
		},
		"both ports": {
			problem: acme.Problem{Status: 400, Type: kinds + "connection", Resource: ofChallenge},
			challenges: []failedChallenge{
				{"tls-alpn-01", kinds + "connection", "203.0.113.5: Timeout during connect (likely firewall problem)"},
				{"http-01", kinds + "unauthorized", "203.0.113.5: Invalid response from http://photos.invalid/.well-known/acme-challenge/x: 404"},
			},
			cause: "the CA could not validate the name: port 443 (TLS-ALPN-01): no answer in time, as from behind a firewall; port 80 (HTTP-01): another server answered",
			check: "does photos.invalid resolve to this server",
		},
		"no name": {
			problem: acme.Problem{Status: 400, Type: kinds + "dns", Detail: "DNS problem: NXDOMAIN looking up A for photos.invalid", Resource: ofChallenge},
			cause:   "the name is not in DNS (NXDOMAIN)", check: "is there an A or AAAA record for photos.invalid",
		},
		"SERVFAIL": {
			problem: acme.Problem{Status: 400, Type: kinds + "dns", Detail: "DNS problem: SERVFAIL looking up A for photos.invalid", Resource: ofChallenge},
			cause:   "the domain's nameservers fail (SERVFAIL)", check: "DNSSEC",
		},
		"no record": {
			problem:    acme.Problem{Status: 403, Type: kinds + "unauthorized", Resource: ofChallenge},
			challenges: []failedChallenge{{"dns-01", kinds + "unauthorized", "No TXT record found at _acme-challenge.photos.invalid"}},
			cause:      "DNS (DNS-01): the record is not there", check: "nameservers that the registrar has for photos.invalid",
		},
		"trouble at the CA": {
			problem: acme.Problem{Status: 503, Type: kinds + "serverInternal", Detail: "Service busy"},
			cause:   "the CA has a problem of its own", check: "status page",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := explain(domain, "Let's Encrypt", errors.Join(c.problem), c.challenges)
			if !strings.Contains(f.cause, c.cause) || !strings.Contains(f.check, c.check) {
				t.Errorf("%+v", f)
			}
			if c.problem.Detail != "" && !strings.Contains(f.detail, c.problem.Detail) {
				t.Errorf("the detail is %q", f.detail)
			}
		})
	}
}

// TestNamesThatNoCAKnows has what certmagic says before it asks a CA.
func TestNamesThatNoCAKnows(t *testing.T) {
	t.Parallel()
	f := explain("photos.lan", "", errors.New("[photos.lan] Obtain: subject 'photos.lan' does not qualify for a public certificate"), nil)
	if f.cause != notForThisName || f.check != checkName {
		t.Errorf("%+v", f)
	}
}

func TestMergeNamesBothCAs(t *testing.T) {
	t.Parallel()
	both := merge([]failure{{"Let's Encrypt", "a rate limit", "nothing", "x"}, {"ZeroSSL", "no account", "acme.email", "x"}})
	if want := (failure{"Let's Encrypt, ZeroSSL", "a rate limit; ZeroSSL: no account", "nothing; acme.email", "x"}); both != want {
		t.Errorf("%+v", both)
	}
}
