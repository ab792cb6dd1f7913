package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess"
	"github.com/traefik/paerser/types"
)

func (s *Settings) check(errs *problems) {
	s.checkUpstreams(errs)
	s.checkDomains(errs)
	s.checkListen(errs)
	s.checkTLS(errs)
	s.ACME.check(errs)
	s.Timeouts.check(errs)
	s.Limits.check(errs)
	checkWord("log.level", s.Log.Level, []string{"debug", "info", "warn", "error"}, errs)
	checkWord("log.format", s.Log.Format, []string{"text", "json"}, errs)
	s.checkAccess(errs)
}

func (s *Settings) checkUpstreams(errs *problems) {
	if len(s.Upstreams) == 0 {
		errs.add("upstreams", "there is none; give Immich's address, such as http://127.0.0.1:2283")
	}
	for _, text := range s.Upstreams {
		upstream, err := url.Parse(text)
		switch {
		case err != nil || upstream.Scheme != "http" && upstream.Scheme != "https" || upstream.Host == "":
			errs.add("upstreams", "%q is not an address; allowed is http://HOST:PORT or https://HOST:PORT", text)
		case strings.Trim(upstream.Path, "/") != "" || upstream.RawQuery != "" || upstream.Fragment != "" || upstream.User != nil:
			errs.add("upstreams", "%q is more than an address: Immich has no sub-path; allowed is http://HOST:PORT", upstream.Redacted())
		}
	}
}

var domainName = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)

func (s *Settings) checkDomains(errs *problems) {
	for _, domain := range s.Domains {
		switch {
		case strings.HasPrefix(domain, "*."):
			errs.add("domains", "%q: a wildcard needs a challenge by DNS, which is not supported; name each host", domain)
		case !domainName.MatchString(domain) || net.ParseIP(domain) != nil:
			errs.add("domains", "%q is not a host name, such as photos.example.com", domain)
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
		errs.add("tls", "certFile and keyFile belong together; give both or neither")
	case len(s.Domains) > 0:
		errs.add("tls", "certificates come either from certFile and keyFile, or by ACME for domains; give one of the two")
	default:
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			errs.add("tls", "%w", err)
		}
	}
}

func (a *ACME) check(errs *problems) {
	if a.Server != "" {
		if server, err := url.Parse(a.Server); err != nil || server.Scheme != "https" || server.Host == "" {
			errs.add("acme.server", "%q is not the address of a directory, such as https://acme-v02.api.letsencrypt.org/directory", a.Server)
		}
	}
	if a.Storage == "" {
		errs.add("acme.storage", "it is empty; give a directory")
	}
	if (a.EAB.KeyID == "") != (a.EAB.HMACKey == "") {
		errs.add("acme.eab", "keyID and hmacKey belong together; give both or neither")
	}
	if _, err := a.RootPool(); err != nil {
		errs.add("acme.trustedRoots", "%w", err)
	}
}

// RootPool returns the authorities an ACME server may be vouched for by, nil for the system's own.
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
		return nil, fmt.Errorf("%s has no certificate; allowed is a PEM file", a.TrustedRoots)
	}
	return pool, nil
}

func (t *Timeouts) check(errs *problems) {
	for option, d := range map[string]types.Duration{
		"timeouts.idle": t.Idle, "timeouts.header": t.Header, "timeouts.upstream": t.Upstream,
		"timeouts.keepAlive": t.KeepAlive, "timeouts.shutdown": t.Shutdown,
	} {
		if d <= 0 {
			errs.add(option, "%s is no time to wait; give a duration over 0, such as 600s", d)
		}
	}
}

func (l *Limits) check(errs *problems) {
	for option, limit := range map[string]int{
		"limits.connections": l.Connections, "limits.connectionsPerClient": l.ConnectionsPerClient,
	} {
		if limit < 0 {
			errs.add(option, "%d is not a limit; give a number over 0, or 0 for none", limit)
		}
	}
}

func checkWord(option, word string, allowed []string, errs *problems) {
	if !slices.Contains(allowed, word) {
		errs.add(option, "%q is not known; allowed are %s", word, strings.Join(allowed, ", "))
	}
}

// checkAccess asks the handler itself, so that there is one opinion only.
func (s *Settings) checkAccess(errs *problems) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	access := s.Access
	if _, err := immichaccess.New(ctx, http.NotFoundHandler(), &access, "access"); err != nil {
		for _, problem := range partsOf(err) {
			*errs = append(*errs, fmt.Errorf("access.%w", problem)) // it begins with the option
		}
	}
}

// partsOf returns what Errorf has wrapped: a list, or a single error by itself.
func partsOf(err error) []error {
	type list interface {
		error
		Unwrap() []error
	}
	if several, found := errors.AsType[list](err); found {
		return several.Unwrap()
	}
	return []error{errors.Unwrap(err)}
}
