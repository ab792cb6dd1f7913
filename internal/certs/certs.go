// Package certs provides the proxy's certificates: by ACME for the configured domains, from files, or, so that it can be tried
// without either, self-signed for localhost.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

// Source is where certificates come from.
type Source struct {
	// TLS is for HTTPS listeners; each adds the protocols that it supports.
	TLS *tls.Config
	// Challenge answers the CA's HTTP-01 challenges, and passes everything else to next.
	Challenge func(next http.Handler) http.Handler
	// VerifyClients verifies the certificates of clients before next, if there is tls.clientCA.
	VerifyClients func(next http.Handler) http.Handler
	// Expiry returns when each certificate expires, by its first name.
	Expiry func() map[string]time.Time
}

// Ports are those that the proxy listens on, where challenges arrive; 0 means none.
type Ports struct {
	HTTP  int
	HTTPS int
}

// Open never waits for a CA. Renewals end with the context.
func Open(ctx context.Context, settings *config.Settings, ports Ports, logger *slog.Logger) (*Source, error) {
	source, err := open(ctx, settings, ports, logger)
	if err != nil {
		return nil, err
	}
	source.VerifyClients = unchanged
	if settings.TLS.ClientCA != "" {
		clients, err := OpenClientCA(settings.TLS.ClientCA, logger)
		if err != nil {
			return nil, fmt.Errorf("tls.clientCA: %w", err)
		}
		source.TLS, source.VerifyClients = clients.Request(source.TLS), clients.Handler
	}
	return source, nil
}

func open(ctx context.Context, settings *config.Settings, ports Ports, logger *slog.Logger) (*Source, error) {
	switch {
	case len(settings.Domains) > 0:
		return openACME(ctx, settings, ports, logger)
	case settings.TLS.CertFile != "":
		return openFiles(settings.TLS, logger)
	default:
		return openSelfSigned(logger)
	}
}

// None is for a proxy without HTTPS.
func None() *Source {
	return &Source{Challenge: unchanged, VerifyClients: unchanged, Expiry: func() map[string]time.Time { return nil }}
}

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// newTLS leaves the cipher suites to Go, whose defaults are kept up to date.
func newTLS(get getCertificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}

func unchanged(next http.Handler) http.Handler {
	return next
}

// logCertificate logs which certificate clients get, and its source.
func logCertificate(logger *slog.Logger, leaf *x509.Certificate, from string) {
	const day = 24 * time.Hour
	names := slices.Clone(leaf.DNSNames)
	for _, address := range leaf.IPAddresses {
		names = append(names, address.String())
	}
	logger.Info("certificate", "names", strings.Join(names, ", "), "from", from, "days_left", int(time.Until(leaf.NotAfter)/day))
}
