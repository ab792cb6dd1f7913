// Package setup asks how Immich is to be reached, and by whom, and writes the configuration and the first key of a standalone proxy.
package setup

import (
	"github.com/immichaccess/immichaccess/internal/config"
)

// Where the certificate comes from.
const (
	byACME     = "acme"
	byDNS      = "dns"
	fromFiles  = "files"
	selfSigned = "self-signed"
	elsewhere  = "plain" // with a proxy in front
)

// Answers are what the user was asked for. Each has the name of its flag.
type Answers struct {
	Domain          string // "" without one
	Upstream        string
	Certificate     string
	Email           string // for ACME; "" without one
	Provider        string // of DNS
	CertFile        string
	KeyFile         string
	Listen          string // for HTTP without TLS
	TrustedProxies  []string
	KeyName         string
	BrowserLogin    bool
	KeylessNetworks []string
}

// settings are the options that the answers so far amount to. They have no key.
func (a *Answers) settings() *config.Settings {
	s := config.Defaults()
	s.Upstreams = []string{a.Upstream}
	s.Domains = a.Domains()
	s.ACME.Email, s.ACME.DNS.Provider = a.Email, a.Provider
	s.TLS.CertFile, s.TLS.KeyFile = a.CertFile, a.KeyFile
	if a.IsPlain() {
		s.Listen.HTTPS, s.Listen.Plain = "", a.Listen
		s.Access.TrustedProxies = a.TrustedProxies
	}
	s.Access.BrowserLogin, s.Access.KeylessNetworks = a.BrowserLogin, a.KeylessNetworks
	return s
}

// Domains are what goes into the option: with an own certificate nothing, since its names count.
func (a *Answers) Domains() []string {
	if a.Domain == "" || a.Certificate == fromFiles {
		return nil
	}
	return []string{a.Domain}
}

// IsPlain tells whether another proxy has the certificate.
func (a *Answers) IsPlain() bool {
	return a.Certificate == elsewhere
}

// Host is where clients find the proxy.
func (a *Answers) Host() string {
	if a.Domain == "" {
		return "localhost"
	}
	return a.Domain
}
