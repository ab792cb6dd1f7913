package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/clientcert"
	"github.com/immichaccess/immichaccess/internal/dnschallenge"
	"github.com/traefik/paerser/types"
)

// Check returns what is wrong with one option, nil if nothing is. It is for programs that ask for
// one option after another.
func (s *Settings) Check(option string) error {
	var all, found problems
	s.check(&all)
	for _, problem := range all {
		name, text, _ := strings.Cut(problem.Error(), ": ")
		if name == option {
			found = append(found, errors.New(text))
		}
	}
	return found.err()
}

func (s *Settings) check(errs *problems) {
	s.checkUpstreams(errs)
	s.checkDomains(errs)
	s.checkListen(errs)
	s.checkTLS(errs)
	s.checkClientCA(errs)
	s.ACME.check(errs)
	s.checkDNS(errs)
	s.Timeouts.check(errs)
	s.Limits.check(errs)
	checkWord("log.level", s.Log.Level, []string{"debug", "info", "warn", "error"}, errs)
	checkWord("log.format", s.Log.Format, []string{"text", "json"}, errs)
	s.checkAccess(errs)
}

func (s *Settings) checkUpstreams(errs *problems) {
	if len(s.Upstreams) == 0 {
		errs.add("upstreams", "none is given; give Immich's address, such as http://127.0.0.1:2283")
	}
	for _, text := range s.Upstreams {
		upstream, err := url.Parse(text)
		switch {
		case err != nil || upstream.Scheme != "http" && upstream.Scheme != "https" || upstream.Host == "":
			errs.add("upstreams", "%q is not an address; allowed is http://HOST:PORT or https://HOST:PORT", text)
		case strings.Trim(upstream.Path, "/") != "" || upstream.RawQuery != "" || upstream.Fragment != "" || upstream.User != nil:
			errs.add("upstreams", "%q has more than an address: Immich can't run below a path; allowed is http://HOST:PORT", upstream.Redacted())
		}
	}
}

var domainName = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)

func (s *Settings) checkDomains(errs *problems) {
	for _, domain := range s.Domains {
		switch {
		case strings.HasPrefix(domain, "*.") && s.ACME.DNS.Provider == "":
			errs.add("domains", "%q: a wildcard certificate needs the DNS-01 challenge; set acme.dns.provider, or name each host", domain)
		case !domainName.MatchString(strings.TrimPrefix(domain, "*.")) || net.ParseIP(domain) != nil:
			errs.add("domains", "%q is not a host name; allowed are names such as photos.example.com", domain)
		}
	}
}

func (s *Settings) checkTLS(errs *problems) {
	if hsts := time.Duration(s.TLS.HSTS); hsts < 0 || hsts%time.Second != 0 {
		errs.add("tls.hsts", "%s is not allowed; give whole seconds, such as 8760h for a year, or 0s to send no header", s.TLS.HSTS)
	}
	cert, key := s.TLS.CertFile, s.TLS.KeyFile
	switch {
	case cert == "" && key == "":
	case cert == "" || key == "":
		errs.add("tls", "certFile and keyFile need each other; give both or neither")
	case len(s.Domains) > 0:
		errs.add("tls", "certFile and keyFile exclude domains, whose certificates come from ACME; give one or the other")
	default:
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			errs.add("tls", "%w", err)
		}
	}
}

func (s *Settings) checkClientCA(errs *problems) {
	if s.TLS.ClientCA == "" {
		if s.Access.ClientCertificates {
			errs.add("access.clientCertificates", "clients are asked for certificates only with tls.clientCA; give it a PEM file with the CAs of those certificates")
		}
		return
	}
	if _, err := ReadCertificates(s.TLS.ClientCA); err != nil {
		errs.add("tls.clientCA", "%w", err)
	}
}

// ReadCertificates returns the certificates of a PEM file.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certificates, err := clientcert.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certificates, nil
}

func (a *ACME) check(errs *problems) {
	if a.Server != "" {
		if server, err := url.Parse(a.Server); err != nil || server.Scheme != "https" || server.Host == "" {
			errs.add("acme.server", "%q is not the https URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory", a.Server)
		}
	}
	if address, err := mail.ParseAddress(a.Email); a.Email != "" && (err != nil || address.Address != a.Email) {
		errs.add("acme.email", "%q is not an e-mail address, such as you@example.com", a.Email)
	}
	if a.Storage == "" {
		errs.add("acme.storage", "none is given; give a directory")
	}
	if (a.EAB.KeyID == "") != (a.EAB.HMACKey == "") {
		errs.add("acme.eab", "keyID and hmacKey need each other; give both or neither")
	}
	if _, err := a.RootPool(); err != nil {
		errs.add("acme.trustedRoots", "%w", err)
	}
}

// checkDNS looks for the provider's variables as well, so that one that is missing is an error at startup.
func (s *Settings) checkDNS(errs *problems) {
	if s.ACME.DNS.Provider == "" {
		return
	}
	if len(s.Domains) == 0 {
		errs.add("acme.dns.provider", "it is for certificates by ACME, which need domains; give domains, or leave it out")
	}
	if _, err := dnschallenge.Open(s.ACME.DNS.Provider); err != nil {
		errs.add("acme.dns.provider", "%w", err)
	}
}

// RootPool returns the root certificates that an ACME server is verified with, or nil for those of the system.
func (a *ACME) RootPool() (*x509.CertPool, error) {
	if a.TrustedRoots == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(a.TrustedRoots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s contains no certificate; a PEM file is needed", a.TrustedRoots)
	}
	return pool, nil
}

func (t *Timeouts) check(errs *problems) {
	for _, timeout := range []struct {
		option string
		value  types.Duration
	}{
		{"timeouts.idle", t.Idle},
		{"timeouts.header", t.Header},
		{"timeouts.upstream", t.Upstream},
		{"timeouts.keepAlive", t.KeepAlive},
		{"timeouts.shutdown", t.Shutdown},
	} {
		if timeout.value <= 0 {
			errs.add(timeout.option, "%s is too short; give a duration longer than 0, such as 600s", timeout.value)
		}
	}
}

func (l *Limits) check(errs *problems) {
	checkLimit("limits.connections", l.Connections, errs)
	checkLimit("limits.connectionsPerClient", l.ConnectionsPerClient, errs)
}

func checkLimit(option string, limit int, errs *problems) {
	if limit < 0 {
		errs.add(option, "%d is not a limit; give a positive number, or 0 for no limit", limit)
	}
}

func checkWord(option, word string, allowed []string, errs *problems) {
	if !slices.Contains(allowed, word) {
		errs.add(option, "%q is unknown; allowed are %s", word, strings.Join(allowed, ", "))
	}
}

// checkAccess has the handler check its own options, so that the rules exist once.
func (s *Settings) checkAccess(errs *problems) {
	if err := s.Access.Validate(); err != nil {
		for _, problem := range partsOf(err) {
			*errs = append(*errs, fmt.Errorf("access.%w", problem)) // which begins with the option
		}
	}
}

// partsOf returns the errors that Errorf has wrapped, be it one or several.
func partsOf(err error) []error {
	type list interface {
		error
		Unwrap() []error
	}
	if several, isList := err.(list); isList { //nolint:errorlint // a list further inside belongs to a single problem
		return several.Unwrap()
	}
	return []error{errors.Unwrap(err)}
}
