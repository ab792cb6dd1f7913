// Package certs gives the proxy its certificates: by ACME for the user's domains, from the user's own files, or, so that
// there is always something to try, self-signed for localhost.
package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

// Source is where certificates come from.
type Source struct {
	// TLS is for HTTPS listeners; each adds the protocols it speaks.
	TLS *tls.Config
	// Challenge answers the authority's HTTP-01 questions, and leaves all else to next.
	Challenge func(next http.Handler) http.Handler
	// Expiry tells until when each certificate holds, by its first name.
	Expiry func() map[string]time.Time
}

// Ports are those the proxy really listens on, where challenges arrive; 0 is none.
type Ports struct {
	HTTP  int
	HTTPS int
}

// Open never waits for an authority. The context ends renewals.
func Open(ctx context.Context, settings *config.Settings, ports Ports, logger *slog.Logger) (*Source, error) {
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
	return &Source{Challenge: noChallenge, Expiry: func() map[string]time.Time { return nil }}
}

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// newTLS leaves the choice of suites to Go, whose authors follow the matter more closely than a configuration can.
func newTLS(get getCertificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}

func noChallenge(next http.Handler) http.Handler {
	return next
}
