// Package certs gives the proxy its certificates: by ACME for the user's domains, from the user's own files, or, so that
// there is always something to try, self-signed for localhost.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

// Source is where certificates come from.
type Source struct {
	// TLS is for HTTPS listeners; each adds the protocols it speaks.
	TLS *tls.Config
	// Challenge answers the CA's requests for the challenge HTTP-01, and leaves all else to next.
	Challenge func(next http.Handler) http.Handler
	// Expiry tells until when each certificate holds, by its first name.
	Expiry func() map[string]time.Time
}

// Ports are those the proxy really listens on, where challenges arrive; 0 is none.
type Ports struct {
	HTTP  int
	HTTPS int
}

// Open never waits for a CA. The context ends renewals.
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

type getCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// newTLS leaves the choice of suites to Go, whose authors follow the matter more closely than a configuration can.
func newTLS(get getCertificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}

func noChallenge(next http.Handler) http.Handler {
	return next
}

// logCertificate tells what clients get, and where it is from.
func logCertificate(logger *slog.Logger, leaf *x509.Certificate, from string) {
	const day = 24 * time.Hour
	names := slices.Clone(leaf.DNSNames)
	for _, address := range leaf.IPAddresses {
		names = append(names, address.String())
	}
	logger.Info("certificate", "names", strings.Join(names, ", "), "from", from, "days_left", int(time.Until(leaf.NotAfter)/day))
}
