package harness

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BlockedDomain is a name for which Pebble refuses to issue a certificate.
const BlockedDomain = "blocked-domain.example"

// Pebble is a running Pebble, the test CA of Let's Encrypt's authors. It validates at the addresses HTTP and HTTPS, where a test starts its
// proxy.
type Pebble struct {
	*Process

	Directory  string // URL
	Management string // URL
	Address    string // of the directory
	Roots      string // PEM file: the certificate of the directory
	Key        string // PEM file: the private key of Roots
	HTTP       string
	HTTPS      string
}

// PebbleOptions are how Pebble differs from its defaults.
type PebbleOptions struct {
	Lifetime         time.Duration     // of certificates; 90 days if not set
	OCSPResponder    string            // a URL that certificates name
	ExternalAccounts map[string]string // MAC keys by ID, one of which is required
	Names            []string          // in the certificate of the directory, in addition to 127.0.0.1
	GoodNonces       bool              // it accepts every nonce; by default it rejects some, so that clients have to try again
}

// StartPebble runs one until the test ends.
func StartPebble(t testing.TB, options PebbleOptions) *Pebble {
	t.Helper()
	resolver := FreeAddress(t)
	Start(t, MustGoBuild(t, "pebble-challtestsrv", ModuleDir(), "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"),
		"-dnsserver", resolver, "-management", FreeAddress(t), "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	p := &Pebble{Address: FreeAddress(t), HTTP: FreeAddress(t), HTTPS: FreeAddress(t)}
	folder := t.TempDir()
	p.Roots, p.Key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	WriteCertificate(t, p.Roots, p.Key, options.Names...)
	management := FreeAddress(t)
	p.Directory, p.Management = "https://"+p.Address+"/dir", "https://"+management
	settings := options.settings()
	settings["listenAddress"], settings["managementListenAddress"] = p.Address, management
	settings["certificate"], settings["privateKey"] = p.Roots, p.Key
	settings["httpPort"], settings["tlsPort"] = Port(t, p.HTTP), Port(t, p.HTTPS)
	content, err := json.Marshal(map[string]any{"pebble": settings})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pebble.json")
	WriteFile(t, file, string(content))
	environ := []string{"PEBBLE_VA_NOSLEEP=1"}
	if options.GoodNonces {
		environ = append(environ, "PEBBLE_WFE_NONCEREJECT=0")
	}
	p.Process = Program{Path: BuildPebble(t), Arguments: []string{"-config", file, "-dnsserver", resolver}, Environ: environ}.Start(t)
	p.Log.Await(t, 0, "ACME directory available")
	return p
}

// BuildPebble compiles Pebble, and returns the path of the program.
func BuildPebble(t testing.TB) string {
	t.Helper()
	return MustGoBuild(t, "pebble", ModuleDir(), "github.com/letsencrypt/pebble/v2/cmd/pebble")
}

func (o PebbleOptions) settings() map[string]any {
	lifetime := o.Lifetime
	if lifetime == 0 {
		lifetime = 90 * 24 * time.Hour
	}
	settings := map[string]any{
		"domainBlocklist": []string{BlockedDomain},
		"retryAfter":      map[string]int{"authz": 1, "order": 1},
		"profiles":        map[string]any{"default": map[string]any{"description": "", "validityPeriod": int(lifetime.Seconds())}},
	}
	if o.OCSPResponder != "" {
		settings["ocspResponderURL"] = o.OCSPResponder
	}
	if len(o.ExternalAccounts) > 0 {
		settings["externalAccountBindingRequired"], settings["externalAccountMACKeys"] = true, o.ExternalAccounts
	}
	return settings
}

// Arguments are for a proxy that gets its certificate for Domain from this CA and keeps it in the folder.
func (p *Pebble) Arguments(storage string) []string {
	return []string{"--domains=" + Domain, "--acme.server=" + p.Directory, "--acme.trustedRoots=" + p.Roots, "--acme.storage=" + storage}
}

// Issued is how many certificates it has issued.
func (p *Pebble) Issued() int {
	return strings.Count(p.Log.String(), "Issued certificate serial")
}

// Client trusts the certificate of the directory and of the management interface.
func (p *Pebble) Client(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: CertPool(t, ReadFile(t, p.Roots))}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
