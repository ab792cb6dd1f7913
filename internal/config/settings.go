// Package config reads the settings of the standalone proxy from flags, environment and file, and tells of everything that
// is wrong with them at once.
package config

import (
	"os"
	"path/filepath"
	"time"

	"github.com/immichaccess/immichaccess"
	"github.com/traefik/paerser/types"
)

// Settings are the options as the user gives them; help.txt tells what they mean. The names of the fields are those of the
// options.
type Settings struct {
	ConfigFile string
	Upstreams  []string
	Domains    []string
	Listen     Listen
	TLS        TLS
	ACME       ACME
	HTTP3      bool
	Timeouts   Timeouts
	Limits     Limits
	Admin      Admin
	Log        Log
	Access     immichaccess.Config
}

// Listen holds the addresses clients connect to.
type Listen struct {
	HTTPS string // empty: off, which needs Plain
	HTTP  string // empty: off
	// Plain is the address of HTTP without TLS, for a proxy or a tunnel that ends TLS; it is to be in Access.TrustedProxies.
	// Default: empty, which is off.
	Plain string
	// Keyless is the address of a second HTTPS listener, whose clients need no key. Default: empty, which is off.
	Keyless string
	// ProxyProtocol are the networks whose TCP connections begin with a PROXY protocol header, v1 or v2: addresses and CIDRs, and
	// the words "loopback" and "private". Default: none.
	ProxyProtocol []string
}

// TLS names the user's own certificate, and what clients are told of HTTPS.
type TLS struct {
	CertFile string
	KeyFile  string
	// HSTS is how long browsers are to use HTTPS only (Strict-Transport-Security), in whole seconds. Default: 0, which sends nothing.
	HSTS types.Duration
}

// ACME tells where certificates for the domains come from.
type ACME struct {
	Email        string
	Server       string // empty: Let's Encrypt
	Storage      string
	EAB          EAB
	TrustedRoots string
}

// EAB is what ties an ACME account to one the user has with the authority.
type EAB struct {
	KeyID   string
	HMACKey string
}

// Timeouts bound silences, never the length of a transfer.
type Timeouts struct {
	Idle      types.Duration
	Header    types.Duration
	Upstream  types.Duration
	KeepAlive types.Duration
	Shutdown  types.Duration
}

// Limits bound what clients may have open at the same time.
type Limits struct {
	Connections          int // 0: no limit
	ConnectionsPerClient int // 0: no limit
}

// Admin is the listener for metrics and health.
type Admin struct {
	Address string // empty: off
}

// Log tells what is logged, and how.
type Log struct {
	Level  string
	Format string
	Access bool
}

// Defaults returns the settings of one who sets nothing.
func Defaults() *Settings {
	return &Settings{
		Upstreams: []string{"http://127.0.0.1:2283"},
		Listen:    Listen{HTTPS: ":443", HTTP: ":80"},
		ACME:      ACME{Storage: defaultStorage()},
		HTTP3:     true,
		Timeouts: Timeouts{
			Idle:      types.Duration(600 * time.Second),
			Header:    types.Duration(30 * time.Second),
			Upstream:  types.Duration(600 * time.Second),
			KeepAlive: types.Duration(600 * time.Second),
			Shutdown:  types.Duration(60 * time.Second),
		},
		Limits: Limits{Connections: 10000, ConnectionsPerClient: 1000},
		Log:    Log{Level: "info", Format: "text"},
		Access: *immichaccess.CreateConfig(),
	}
}

// defaultStorage follows the XDG base directories, and a service without a home directory stores where systemd lets it.
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
