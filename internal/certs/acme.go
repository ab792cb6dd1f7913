package certs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/dnschallenge"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// openACME manages certificates with certmagic, by hand: its HTTPS() would cut requests after 5 s.
func openACME(ctx context.Context, settings *config.Settings, ports Ports, logger *slog.Logger) (*Source, error) {
	orders := newOrderLog(settings, logger)
	zapped := zap.New(slogCore{logger: logger, orders: orders})
	var magic *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return magic, nil },
		Logger:           zapped,
	})
	magic = certmagic.New(cache, certmagic.Config{
		Storage:           &certmagic.FileStorage{Path: settings.ACME.Storage},
		DefaultServerName: settings.Domains[0], // for clients without SNI
		// The default, but certmagic times out on an OCSP responder after 30 s only if it is set. Otherwise it waits forever for
		// one that does not respond, and meanwhile neither serves nor renews certificates.
		OCSP:    certmagic.OCSPConfig{HTTPProxy: http.ProxyFromEnvironment},
		Logger:  zapped,
		OnEvent: orders.event,
	})
	orders.find, orders.load = cache.AllMatchingCertificates, magic.Storage.Load
	issuers, err := newIssuers(magic, &settings.ACME, ports, orders, zapped)
	if err != nil {
		return nil, err
	}
	magic.Issuers = nil // New has put in Let's Encrypt, before ours and without their settings
	for _, issuer := range issuers {
		magic.Issuers = append(magic.Issuers, issuer)
	}
	context.AfterFunc(ctx, cache.Stop)
	startManaging(ctx, magic, settings.Domains, orders)

	source := &Source{TLS: newTLS(magic.GetCertificate), Challenge: answerFor(issuers)}
	source.TLS.NextProtos = []string{acmez.ACMETLS1Protocol}
	source.Expiry = func() map[string]time.Time { return managedExpiry(cache, settings.Domains) }
	return source, nil
}

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
	loadTime   = 5 * time.Second // it takes milliseconds, unless an OCSP responder hangs
)

// startManaging returns when the certificates that are stored have been loaded, so that a restarted proxy fails no handshake.
func startManaging(ctx context.Context, magic *certmagic.Config, domains []string, orders *orderLog) {
	var loading sync.WaitGroup
	for _, domain := range domains {
		attempted := func() {}
		if isStored(ctx, magic, domain) {
			loading.Add(1)
			attempted = sync.OnceFunc(loading.Done)
		}
		go manage(ctx, magic, domain, orders, attempted)
	}
	loaded := make(chan struct{})
	go func() { loading.Wait(); close(loaded) }()
	select {
	case <-loaded:
	case <-time.After(loadTime):
	}
}

// isStored reports whether there is a certificate of one of the issuers for the domain, with all that belongs to it.
func isStored(ctx context.Context, magic *certmagic.Config, domain string) bool {
	keys := certmagic.StorageKeys
	return slices.ContainsFunc(magic.Issuers, func(issuer certmagic.Issuer) bool {
		key, exists := issuer.IssuerKey(), magic.Storage.Exists
		return exists(ctx, keys.SiteCert(key, domain)) && exists(ctx, keys.SitePrivateKey(key, domain)) && exists(ctx, keys.SiteMeta(key, domain))
	})
}

// manage gets the certificate if there is none, and then has certmagic renew it. certmagic itself tries again if a CA fails,
// but not if it can't write to its storage, such as when the disk is full. It calls attempted after the first attempt.
func manage(ctx context.Context, magic *certmagic.Config, domain string, orders *orderLog, attempted func()) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := magic.ObtainCertAsync(ctx, domain) // which waits, and does nothing if there is one
		if err == nil {
			err = magic.ManageAsync(ctx, []string{domain})
		}
		attempted()
		if err == nil || ctx.Err() != nil {
			return
		}
		orders.failed(domain, err, "retrying_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// newIssuers returns the CAs to try, in order.
func newIssuers(magic *certmagic.Config, settings *config.ACME, ports Ports, orders *orderLog, logger *zap.Logger) ([]*certmagic.ACMEIssuer, error) {
	roots, err := settings.RootPool()
	if err != nil {
		return nil, err
	}
	solver, err := newDNSSolver(settings.DNS.Provider, orders.logger)
	if err != nil {
		return nil, err
	}
	template := certmagic.ACMEIssuer{
		CA:                   settings.Server,
		Email:                settings.Email,
		Agreed:               true,
		ExternalAccount:      externalAccount(settings.EAB),
		TrustedRoots:         roots,
		DisableHTTPChallenge: ports.HTTP == 0,
		AltHTTPPort:          ports.HTTP,
		AltTLSALPNPort:       ports.HTTPS,
		DNS01Solver:          solver, // the only challenge, if there is one
		Logger:               logger,
	}
	issuers := []*certmagic.ACMEIssuer{certmagic.NewACMEIssuer(magic, template)}
	if settings.Server == "" && settings.Email != "" {
		template.CA = certmagic.ZeroSSLProductionCA
		template.ExternalAccount = nil
		template.NewAccountFunc = zeroSSL{eabEndpoint}.bindAccount
		issuers = append(issuers, certmagic.NewACMEIssuer(magic, template))
	}
	return issuers, nil
}

// newDNSSolver returns nil without a provider, a nil interface.
func newDNSSolver(provider string, logger *slog.Logger) (acmez.Solver, error) {
	if provider == "" {
		return nil, nil
	}
	opened, err := dnschallenge.Open(provider)
	if err != nil {
		return nil, fmt.Errorf("acme.dns.provider: %w", err)
	}
	return dnschallenge.NewSolver(opened, logger), nil
}

func externalAccount(eab config.EAB) *acme.EAB {
	if eab.KeyID == "" {
		return nil
	}
	return &acme.EAB{KeyID: eab.KeyID, MACKey: eab.HMACKey}
}

func answerFor(issuers []*certmagic.ACMEIssuer) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		for _, issuer := range slices.Backward(issuers) {
			next = issuer.HTTPChallengeHandler(next)
		}
		return next
	}
}

func managedExpiry(cache *certmagic.Cache, domains []string) map[string]time.Time {
	expiry := map[string]time.Time{}
	for _, domain := range domains {
		for _, cert := range cache.AllMatchingCertificates(domain) {
			expiry[domain] = cert.Leaf.NotAfter
		}
	}
	return expiry
}
