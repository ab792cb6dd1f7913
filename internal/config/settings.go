// Package config reads the settings of the standalone proxy from flags, environment variables and a file, and reports
// everything that is wrong with them at once.
package config

import (
	"os"
	"path/filepath"
	"time"

	"github.com/immichaccess/immichaccess"
	"github.com/traefik/paerser/types"
)

// Settings are the options as the user gives them. The yaml tag of a field is the option's name, and its comment the
// description of the option, from which make docs writes the reference, the help and the README's table.
type Settings struct {
	// ConfigFile is a file with options, in YAML or TOML; empty is none.
	// Default: immichaccess.yml beside the binary, or in /etc/immichaccess.
	ConfigFile string `yaml:"configFile"`
	// Upstreams are the Immich servers. With several, a client stays with the same one as long as that is healthy. An address
	// has no path, since Immich can't run below one.
	// Default: http://127.0.0.1:2283.
	Upstreams []string `yaml:"upstreams"`
	// Domains are the public host names, such as "photos.example.com"; certificates for them come from ACME. Requests for other
	// hosts are answered with 421. They can't be combined with [TLS.CertFile].
	// Default: none.
	Domains []string `yaml:"domains"`
	// HTTP3 serves HTTP/3 (QUIC) on the UDP port of [Listen.HTTPS].
	// Default: true.
	HTTP3 bool `yaml:"http3"`

	Listen   Listen   `yaml:"listen"`
	TLS      TLS      `yaml:"tls"`
	ACME     ACME     `yaml:"acme"`
	Timeouts Timeouts `yaml:"timeouts"`
	Limits   Limits   `yaml:"limits"`
	Admin    Admin    `yaml:"admin"`
	Log      Log      `yaml:"log"`
	// Access are the options of the gateway itself, which the Traefik plugin has as well.
	Access immichaccess.Config `yaml:"access"`
}

// Listen is where clients connect.
type Listen struct {
	// HTTPS is the address for HTTPS, ":PORT" or "IP:PORT". Empty turns it off, which needs [Listen.Plain].
	// Default: :443.
	HTTPS string `yaml:"https"`
	// HTTP is the address for plain HTTP, which answers ACME's HTTP-01 challenges and redirects to HTTPS. Empty turns it off.
	// Default: :80.
	HTTP string `yaml:"http"`
	// Plain is an address for HTTP without TLS, for a proxy or a tunnel that terminates TLS; list its address in [Config.TrustedProxies].
	// Default: none.
	Plain string `yaml:"plain"`
	// Keyless is the address of a second HTTPS listener, for the network at home, whose clients need no key.
	// Default: none.
	Keyless string `yaml:"keyless"`
	// ProxyProtocol are the relays whose TCP connections begin with a PROXY protocol header, v1 or v2; written as in
	// [Config.TrustedProxies]. From others, such a header is an error.
	// Default: none.
	ProxyProtocol []string `yaml:"proxyProtocol"`
}

// TLS is for a certificate of your own. Without one and without domains, the certificate is self-signed, for localhost.
type TLS struct {
	// CertFile is a PEM file with the certificate and its chain. A change takes effect within two seconds.
	// Default: none.
	CertFile string `yaml:"certFile"`
	// KeyFile is a PEM file with the private key of [TLS.CertFile].
	// Default: none.
	KeyFile string `yaml:"keyFile"`
	// ClientCA is a PEM file with the CAs whose client certificates are accepted; see [Config.ClientCertificates] and
	// "immichaccess cert". A change takes effect within two seconds.
	// Default: none.
	ClientCA string `yaml:"clientCA"`
	// HSTS is how long browsers are to use only HTTPS for the host (Strict-Transport-Security), in whole seconds; "0s" sends nothing.
	// Default: 0s.
	HSTS types.Duration `yaml:"hsts"`
}

// ACME is where certificates for the domains come from.
type ACME struct {
	// Email is the address that the certificate authority (CA) may write to. With one, and without [ACME.Server], ZeroSSL is
	// tried when Let's Encrypt fails.
	// Default: none.
	Email string `yaml:"email"`
	// Server is the directory URL of another CA, with https.
	// Default: Let's Encrypt.
	Server string `yaml:"server"`
	// Storage is the directory for certificates and account keys. Several instances may share it. If they are set,
	// "$STATE_DIRECTORY" (by systemd) or "$XDG_DATA_HOME/immichaccess" is the default.
	// Default: ~/.local/share/immichaccess.
	Storage string `yaml:"storage"`
	EAB     EAB    `yaml:"eab"`
	// TrustedRoots is a PEM file with the root certificates that verify [ACME.Server], for a CA of your own.
	// Default: the system's.
	TrustedRoots string `yaml:"trustedRoots"`
	DNS          DNS    `yaml:"dns"`
}

// DNS is the challenge DNS-01, which needs no open port and allows wildcards.
type DNS struct {
	// Provider is the DNS provider that proves control of [Settings.Domains], by its name in lego and Traefik, such as "cloudflare";
	// no port needs to be open, and wildcards are allowed. Its credentials are environment variables; see
	// docs/certificates-without-an-open-port.md.
	// Default: none.
	Provider string `yaml:"provider"`
}

// EAB is ACME's external account binding.
type EAB struct {
	// KeyID is the identifier of the account that you have with the CA (external account binding).
	// Default: none.
	KeyID string `yaml:"keyID"`
	// HMACKey is the key that belongs to [EAB.KeyID].
	// Default: none.
	HMACKey string `yaml:"hmacKey" loggable:"false"`
}

// Timeouts are how long the proxy waits; none limits how long a transfer takes. Each has to be longer than 0.
type Timeouts struct {
	// Idle is how long a transfer may go without data in either direction. Every byte restarts it, so that an upload may take a day.
	// Default: 10m.
	Idle types.Duration `yaml:"idle"`
	// Header is how long a client may take for the TLS handshake and for the head of a request. It also ends idle connections
	// on which no request has been authorized.
	// Default: 30s.
	Header types.Duration `yaml:"header"`
	// Upstream is how long Immich may take to begin its response.
	// Default: 10m.
	Upstream types.Duration `yaml:"upstream"`
	// KeepAlive is how long idle connections of clients stay open, once a request has been authorized.
	// Default: 10m.
	KeepAlive types.Duration `yaml:"keepAlive"`
	// Shutdown is how long running transfers may take to finish after SIGTERM. A second signal ends them immediately.
	// Default: 1m.
	Shutdown types.Duration `yaml:"shutdown"`
}

// Limits are how much clients may have open at the same time.
type Limits struct {
	// Connections is the number of client connections that may be open, over TCP and QUIC together; "0" is no limit. At the
	// limit, a connection without an authorized request, or an idle one, is closed to make room; if all are busy, new ones are
	// closed.
	// Default: 10000.
	Connections int `yaml:"connections"`
	// ConnectionsPerClient is the number of connections that one client may have open, which is an IPv4 address or an IPv6 /64;
	// "0" is no limit. Behind another proxy, all clients count as that proxy.
	// Default: 1000.
	ConnectionsPerClient int `yaml:"connectionsPerClient"`
}

// Admin is for metrics and health checks.
type Admin struct {
	// Address is the address for "/metrics" (Prometheus), "/healthz" and "/readyz". Without a host, as in ":9091", it is on
	// loopback; "0.0.0.0:9091" can be reached from anywhere.
	// Default: none.
	Address string `yaml:"address"`
}

// Log is what is logged, on standard error.
type Log struct {
	// Level is the least severe level that is logged: "debug", "info", "warn" or "error".
	// Default: info.
	Level string `yaml:"level"`
	// Format is "text" or "json".
	// Default: text.
	Format string `yaml:"format"`
	// Access logs every request, with keys and tokens masked.
	// Default: false.
	Access bool `yaml:"access"`
}

// Defaults returns the settings without any option.
func Defaults() *Settings {
	return &Settings{
		Upstreams: []string{"http://127.0.0.1:2283"},
		HTTP3:     true,
		Listen:    Listen{HTTPS: ":443", HTTP: ":80"},
		ACME:      ACME{Storage: defaultStorage()},
		Timeouts: Timeouts{
			Idle:      types.Duration(10 * time.Minute),
			Header:    types.Duration(30 * time.Second),
			Upstream:  types.Duration(10 * time.Minute),
			KeepAlive: types.Duration(10 * time.Minute),
			Shutdown:  types.Duration(time.Minute),
		},
		Limits: Limits{Connections: 10000, ConnectionsPerClient: 1000},
		Log:    Log{Level: "info", Format: "text"},
		Access: *immichaccess.CreateConfig(),
	}
}

// defaultStorage prefers the directory that systemd provides for state, then follows the XDG base directories.
func defaultStorage() string {
	if state := os.Getenv("STATE_DIRECTORY"); state != "" {
		return state
	}
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return filepath.Join(data, "immichaccess")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "immichaccess-data"
	}
	return filepath.Join(home, ".local", "share", "immichaccess")
}
