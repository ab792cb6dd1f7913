package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/dnschallenge"
	"github.com/mholt/acmez/v3/acme"
)

// failure is why a CA issued no certificate, for the administrator.
type failure struct {
	ca     string // empty: none was asked
	cause  string // in plain language
	check  string // what to look at
	detail string // as the CA, the DNS provider or the system said it
}

func (f failure) attributes() []any {
	var found []any
	for _, a := range []struct{ key, value string }{{"ca", f.ca}, {"cause", f.cause}, {"check", f.check}, {"detail", f.detail}} {
		if a.value != "" {
			found = append(found, a.key, a.value)
		}
	}
	return found
}

// merge makes one failure of those of several CAs.
func merge(failures []failure) failure {
	merged := failures[0]
	for _, f := range failures[1:] {
		merged.ca += ", " + f.ca
		if f.cause != merged.cause {
			merged.cause += "; " + f.ca + ": " + f.cause
		}
		if f.check != merged.check {
			merged.check += "; " + f.check
		}
		if f.detail != merged.detail {
			merged.detail += "; " + f.detail
		}
	}
	return merged
}

const (
	notForThisName = "the CA does not issue certificates for this name"
	checkName      = "domains: is it a public name, and yours"
)

// explain determines the cause from the error and the failed challenges.
func explain(domain, ca string, err error, challenges []failedChallenge) failure {
	f := failure{ca: ca, cause: "the order failed", check: "the detail; with log.level=debug the log has every step", detail: err.Error()}
	if dns, is := errors.AsType[*dnschallenge.Error](err); is {
		f.cause, f.check, f.detail = dns.Cause, dns.Check, dns.Detail
		return f
	}
	if problem, is := errors.AsType[acme.Problem](err); is {
		f.explainProblem(domain, problem, challenges)
		return f
	}
	_, file := errors.AsType[*fs.PathError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, request := errors.AsType[*url.Error](err)
	switch {
	case file || ca == "" && (strings.Contains(f.detail, "storage") || strings.Contains(f.detail, "saving assets")):
		f.cause, f.check = "acme.storage can't be written to", "does the directory exist, may this user write to it, is the disk full"
	case strings.Contains(f.detail, "does not qualify for a public certificate"):
		f.cause, f.check = notForThisName, checkName
	case certificate:
		f.cause, f.check = "the CA's own certificate is not trusted", "this machine's clock; acme.trustedRoots, for a CA of your own"
	case strings.Contains(f.detail, "account pre-registration callback"): // see zeroSSL
		f.cause, f.check = "the CA gives no account for the e-mail address", "acme.email; does this machine reach api.zerossl.com"
	case request:
		f.cause, f.check = "the CA can't be reached", "is this machine online, does a firewall block outgoing HTTPS; acme.server, if it is set"
	}
	return f
}

// explainProblem reads an ACME error (RFC 8555, section 6.7).
func (f *failure) explainProblem(domain string, problem acme.Problem, challenges []failedChallenge) {
	kind := kindOf(problem.Type)
	f.detail = kind + ": " + problem.Detail
	for _, sub := range problem.Subproblems {
		f.detail += "; " + kindOf(sub.Type) + ": " + sub.Detail
	}
	_, ofChallenge := problem.Resource.(acme.Authorization)
	switch {
	case problem.Status == http.StatusTooManyRequests || kind == "rateLimited":
		f.cause = "the CA's rate limit is reached"
		f.check = "nothing, the limit passes; for trials, acme.server=https://acme-staging-v02.api.letsencrypt.org/directory"
	case kind == "caa":
		f.cause = "a CAA record in DNS forbids this CA to issue"
		f.check = "the CAA records of " + domain + " and of the domains above it"
	case ofChallenge || len(challenges) > 0:
		f.explainChallenges(domain, challenges, failedChallenge{"", problem.Type, problem.Detail})
	case kind == "rejectedIdentifier" || kind == "unsupportedIdentifier":
		f.cause, f.check = notForThisName, checkName
	case kind == "externalAccountRequired":
		f.cause, f.check = "the CA wants an account with it (external account binding)", "acme.eab.keyID and acme.eab.hmacKey, which the CA gives its customers"
	case kind == "unauthorized" || kind == "accountDoesNotExist":
		f.cause, f.check = "the CA does not accept the account", "acme.eab.keyID and acme.eab.hmacKey; else the directory of accounts in acme.storage"
	case kind == "invalidContact" || kind == "unsupportedContact":
		f.cause, f.check = "the CA does not accept the e-mail address", "acme.email"
	case problem.Status >= http.StatusInternalServerError:
		f.cause, f.check = "the CA has a problem of its own", "nothing, if it passes; else the CA's status page"
	default:
		f.cause = "the CA refused the order"
	}
}

// kindOf is the last part of a type such as urn:ietf:params:acme:error:rateLimited.
func kindOf(problemType string) string {
	return problemType[strings.LastIndexByte(problemType, ':')+1:]
}

// places are where the CA connects to or looks, by challenge.
var places = map[string]string{
	acme.ChallengeTypeTLSALPN01: "port 443 (TLS-ALPN-01)",
	acme.ChallengeTypeHTTP01:    "port 80 (HTTP-01)",
	acme.ChallengeTypeDNS01:     "DNS (DNS-01)",
}

// explainChallenges describes each challenge that failed or, if there is none, the last one's error.
func (f *failure) explainChallenges(domain string, challenges []failedChallenge, last failedChallenge) {
	if len(challenges) == 0 {
		challenges = []failedChallenge{last}
	}
	last = challenges[len(challenges)-1]
	var reasons, details []string
	seen, err := lookUp(domain)
	for _, c := range challenges {
		reason := c.reason(err)
		if place := places[c.kind]; place != "" {
			reason = place + ": " + reason
		}
		reasons = append(reasons, reason)
		details = append(details, kindOf(c.problem)+": "+c.detail)
	}
	f.cause = "the CA could not validate the name: " + strings.Join(reasons, "; ")
	f.detail = strings.Join(details, "; ")
	f.check = last.check(domain, seen, err)
}

// Reasons of a challenge's failure, and parts of what CAs and Go call them.
const (
	refusedReason  = "connection refused"
	timeoutReason  = "no answer in time, as from behind a firewall"
	noNameReason   = "the name is not in DNS (NXDOMAIN)"
	dnsFailsReason = "the domain's nameservers fail (SERVFAIL)"
	otherReason    = "another server answered"
	noRecordReason = "the record is not there"
)

var reasonsByDetail = []struct {
	reason string
	parts  []string
}{
	{refusedReason, []string{"refused"}},
	{timeoutReason, []string{"timeout", "timed out", "deadline exceeded"}},
	{noNameReason, []string{"nxdomain", "no such host", "no valid a records", "no valid ip"}},
	{dnsFailsReason, []string{"servfail", "server misbehaving"}},
	{"the CA could not connect", []string{"failed to connect"}},
	{"the connection was reset", []string{"reset by peer", "eof"}},
	{"no route to the address", []string{"no route", "unreachable"}},
}

// reason takes the error of our own lookup of the name, since some CAs say only that theirs has failed.
func (c failedChallenge) reason(lookup error) string {
	detail := strings.ToLower(c.detail)
	for _, known := range reasonsByDetail {
		if slices.ContainsFunc(known.parts, func(part string) bool { return strings.Contains(detail, part) }) {
			return known.reason
		}
	}
	switch {
	case kindOf(c.problem) == "dns", strings.Contains(detail, "could not resolve"):
		return reasonOfLookup(lookup)
	case c.kind == acme.ChallengeTypeDNS01:
		return noRecordReason
	case slices.Contains([]string{"unauthorized", "tls", "incorrectResponse"}, kindOf(c.problem)):
		return otherReason
	default:
		return kindOf(c.problem)
	}
}

func reasonOfLookup(err error) string {
	failure, is := errors.AsType[*net.DNSError](err)
	switch {
	case !is:
		return "the CA's DNS lookup failed"
	case failure.IsNotFound:
		return noNameReason
	default:
		return dnsFailsReason
	}
}

// check includes the addresses that our own lookup returns for the name.
func (c failedChallenge) check(domain string, addresses []string, lookup error) string {
	switch reason := c.reason(lookup); {
	case c.kind == acme.ChallengeTypeDNS01:
		return "do the nameservers that the registrar has for " + strings.TrimPrefix(domain, "*.") + " belong to the DNS provider; is one of them old"
	case reason == noNameReason:
		return "is there an A or AAAA record for " + domain
	case reason == dnsFailsReason:
		return "the domain's nameservers, and DNSSEC"
	}
	resolves := ""
	if len(addresses) > 0 {
		resolves = " (it resolves to " + strings.Join(addresses, ", ") + ")"
	}
	return fmt.Sprintf("does %s resolve to this server%s, and are its ports 443 and 80 forwarded to listen.https and listen.http", domain, resolves)
}

// lookupTime is short, since the result is only a hint.
const lookupTime = 3 * time.Second

func lookUp(domain string) (addresses []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	return net.DefaultResolver.LookupHost(ctx, domain+".")
}
