package certs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/immichaccess/immichaccess/internal/config"
	"go.uber.org/zap/zapcore"
)

// orderLog logs how certificate orders end: one line each, from what certmagic logs and from its events.
type orderLog struct {
	logger    *slog.Logger
	server    string                                        // acme.server
	challenge string                                        // how the CA validates
	find      func(name string) []certmagic.Certificate     // those in use
	load      func(context.Context, string) ([]byte, error) // from the storage

	mu       sync.Mutex
	attempts map[string]*attempt // guarded by mu; by domain, those that have not ended yet
	logged   map[string]bool     // guarded by mu; by domain, whether the last failure was logged
}

// attempt is the state of an order.
type attempt struct {
	challenges []failedChallenge // of the CA that is being asked
	refusals   []failure
}

// failedChallenge is one that the CA could not validate.
type failedChallenge struct {
	kind    string // tls-alpn-01, http-01 or dns-01
	problem string // the ACME error, such as connection
	detail  string
}

func newOrderLog(settings *config.Settings, logger *slog.Logger) *orderLog {
	challenge := "TLS-ALPN-01 over port 443, or HTTP-01 over port 80"
	if provider := settings.ACME.DNS.Provider; provider != "" {
		challenge = "DNS-01, by " + provider
	}
	return &orderLog{logger: logger, server: settings.ACME.Server, challenge: challenge, attempts: map[string]*attempt{}, logged: map[string]bool{}}
}

// note reads what certmagic and acmez log of an order.
func (o *orderLog) note(message string, fields []zapcore.Field) {
	values := map[string]any{}
	for _, field := range fields {
		values[field.Key] = valueOf(field)
	}
	domain, _ := values["identifier"].(string)
	err, _ := values["error"].(error)
	switch message {
	case "challenge failed":
		kind, _ := values["challenge_type"].(string)
		problem, _ := values["problem"].(map[string]any)
		o.addChallenge(domain, failedChallenge{kind, textOf(problem, "type"), textOf(problem, "detail")})
	case "could not get certificate from issuer":
		key, _ := values["issuer"].(string)
		o.addRefusal(domain, o.nameOf(key), err)
	case "will retry":
		o.failed(domainOf(err), err, "retrying_in", values["retrying_in"])
	case "job failed":
		if domain := domainOf(err); domain != "" && !o.forget(domain) && !strings.Contains(err.Error(), context.Canceled.Error()) {
			o.failed(domain, err, "retrying", renewalRetries)
			o.forget(domain)
		}
	}
}

// renewalRetries are certmagic's: it looks every 10 minutes, and waits longer after each failure.
const renewalRetries = "in 10 minutes at first, then less often, at least every 6 hours"

// forget returns whether the last failure was logged, and is false from then on: what certmagic can't even begin, such as a renewal
// without a place to store it, is a failed job and no event.
func (o *orderLog) forget(domain string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	logged := o.logged[domain]
	delete(o.logged, domain)
	return logged
}

// valueOf returns an error as such, and anything else as it is logged.
func valueOf(field zapcore.Field) any {
	if err, is := field.Interface.(error); is {
		return err
	}
	encoder := zapcore.NewMapObjectEncoder()
	field.AddTo(encoder)
	return encoder.Fields[field.Key]
}

func textOf(values map[string]any, key string) string {
	text, _ := values[key].(string)
	return text
}

var ofDomain = regexp.MustCompile(`^\[([^\]]+)\]`)

// domainOf returns the domain that certmagic has put in front of its errors.
func domainOf(err error) string {
	if err == nil {
		return ""
	}
	if match := ofDomain.FindStringSubmatch(err.Error()); match != nil {
		return match[1]
	}
	return ""
}

func (o *orderLog) addChallenge(domain string, failed failedChallenge) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.attempt(domain)
	a.challenges = append(a.challenges, failed)
}

// addRefusal is called when a CA has issued no certificate; another may be tried next.
func (o *orderLog) addRefusal(domain, ca string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.attempt(domain)
	a.refusals = append(a.refusals, explain(domain, ca, err, a.challenges))
	a.challenges = nil
}

// attempt returns the one for a domain; mu is held.
func (o *orderLog) attempt(domain string) *attempt {
	if o.attempts[domain] == nil {
		o.attempts[domain] = &attempt{}
	}
	return o.attempts[domain]
}

// take returns the refusals of an attempt that has ended.
func (o *orderLog) take(domain string) []failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	refusals := o.attempt(domain).refusals
	delete(o.attempts, domain)
	delete(o.logged, domain)
	return refusals
}

// nameOf returns the name of a CA by certmagic's key for it.
func (o *orderLog) nameOf(issuerKey string) string {
	switch {
	case o.server != "":
		if server, err := url.Parse(o.server); err == nil {
			return server.Host
		}
		return o.server
	case strings.Contains(issuerKey, "zerossl"):
		return "ZeroSSL"
	default:
		return "Let's Encrypt"
	}
}

// event is called by certmagic.
func (o *orderLog) event(ctx context.Context, name string, data map[string]any) error {
	domain, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
	switch name {
	case "cert_obtaining":
		if attempts, is := ctx.Value(certmagic.AttemptsCtxKey).(*int); is && *attempts == 0 && !renewal {
			o.logger.Info("certificate", "names", domain, "from", "none yet; it is being ordered", "ca", o.nameOf(""), "challenge", o.challenge)
		}
	case "cert_failed":
		err, _ := data["error"].(error)
		if renewal && ctx.Value(certmagic.AttemptsCtxKey) == nil { // else "will retry" follows
			o.failed(domain, err, "retrying", renewalRetries)
		}
	case "cert_obtained":
		for _, refusal := range o.take(domain) {
			o.logger.Warn("the certificate is from another CA", append([]any{"domain", domain, "instead_of", refusal.ca}, refusal.attributes()...)...)
		}
		if path, _ := data["certificate_path"].(string); renewal {
			o.renewed(ctx, path)
		}
	case "cached_managed_cert":
		if sans, _ := data["sans"].([]string); len(sans) > 0 {
			for _, cert := range o.find(sans[0]) {
				o.tell(cert.Leaf)
			}
		}
	}
	return nil
}

func (o *orderLog) renewed(ctx context.Context, path string) {
	content, err := o.load(ctx, path)
	if err != nil {
		return // certmagic logs it
	}
	if block, _ := pem.Decode(content); block != nil {
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
			o.tell(leaf)
		}
	}
}

func (o *orderLog) tell(leaf *x509.Certificate) {
	issuer := leaf.Issuer.CommonName
	if len(leaf.Issuer.Organization) > 0 {
		issuer = leaf.Issuer.Organization[0]
	}
	logCertificate(o.logger, leaf, "ACME, by "+issuer)
}

// failed logs why there is no certificate, in one line; more contains attributes such as the time of the next attempt.
func (o *orderLog) failed(domain string, err error, more ...any) {
	refusals := o.take(domain)
	if len(refusals) == 0 {
		refusals = []failure{explain(domain, "", err, nil)}
	}
	message, remaining := "there is no certificate yet", []any(nil)
	for _, cert := range o.find(domain) {
		message = "the certificate could not be renewed"
		remaining = []any{"valid_for", time.Until(cert.Leaf.NotAfter).Round(time.Second)}
	}
	o.mu.Lock()
	o.logged[domain] = true
	o.mu.Unlock()
	o.logger.Error(message, slices.Concat([]any{"domain", domain}, merge(refusals).attributes(), remaining, more)...)
}
