package immichaccess

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config holds the options, as users write them. The zero value is safe: it requires a key, and since it has none, New returns
// an error. The yaml tag of a field is the option's name, and its comment the description of the option, from which make docs
// writes the reference, the help and the README's table. A text option that is left empty has its default, as when a label
// contains a variable that is not set.
type Config struct {
	// Keys are the access keys, each as "[NAME:]SECRET [expires=2027-01-31] [methods=GET,HEAD]", where "SECRET" is the key itself
	// or "sha256:" and its digest. A key is valid through the end of its last day, in UTC. In a comma-separated list, such as a
	// label, write "methods=GET+HEAD".
	// Default: none.
	Keys []string `yaml:"keys" loggable:"false"`
	// KeysFile is a file with more keys, written as in [Config.Keys], one per line; a change takes effect within 5 s. Lines that
	// begin with "#" are comments. If the file can't be read or has an error, the previous keys stay in effect, and the log says
	// why.
	// Default: none.
	KeysFile string `yaml:"keysFile"`
	// RequireKey is whether a request needs a key; "false" lets everybody in, so that only the forwarding headers and the upload
	// limit remain. Keys are then ignored.
	// Default: true.
	RequireKey string `yaml:"requireKey"` // a string, because Traefik turns an empty value into false for a bool
	// KeyHeader is the request header that contains the key.
	// Default: X-Access-Key.
	KeyHeader string `yaml:"keyHeader"`
	// ForwardKey keeps the key header on the request to Immich. A browser session has no key to forward.
	// Default: false.
	ForwardKey bool `yaml:"forwardKey"`
	// KeyNameHeader is a request header in which Immich and the access log receive the name of the key. A value that the client
	// sends in it is discarded.
	// Default: none.
	KeyNameHeader string `yaml:"keyNameHeader"`
	// MaxUploadSize is the largest request body, in bytes or with nginx's units "k", "m" and "g" (powers of 1024, upper or lower
	// case); "0" is no limit. Larger requests get 413.
	// Default: 50000M.
	MaxUploadSize string `yaml:"maxUploadSize"`
	// TrustedProxies are the IP addresses and CIDRs of the proxies in front whose forwarding headers are trusted; "loopback" stands
	// for 127.0.0.0/8 and ::1, "private" for the networks of RFC 1918 and RFC 4193.
	// Default: none.
	TrustedProxies []string `yaml:"trustedProxies"`
	// KeylessNetworks are the networks whose clients need no key, such as your home network; written as in
	// [Config.TrustedProxies]. Behind another proxy, list that proxy in [Config.TrustedProxies], or else all clients have its
	// address.
	// Default: none.
	KeylessNetworks []string `yaml:"keylessNetworks"`
	// PublicRoutes are the Immich routes that need no key: "ping", "well-known", "oauth", "shared-links", "session-media".
	// Default: none.
	PublicRoutes []string `yaml:"publicRoutes"`
	// BrowserLogin shows a login page to browsers that send no key. A signed session cookie, which does not contain the key, then
	// lets the browser in. The page is at "/.immichaccess", and "/.immichaccess/logout" ends the session.
	// Default: false.
	BrowserLogin bool `yaml:"browserLogin"`
	// BrowserSession is how long a browser stays logged in.
	// Default: 720h.
	BrowserSession string `yaml:"browserSession"`
	// SessionSecretFile is a file with a secret of at least 32 characters that signs the session cookies of [Config.BrowserLogin].
	// Instances that share it accept each other's sessions. Without it, the Traefik plugin generates a random secret, with which
	// sessions survive a reload but not a restart; the standalone proxy keeps one in "acme.storage".
	// Default: none.
	SessionSecretFile string `yaml:"sessionSecretFile"`
	// BasicAuth accepts the password of HTTP Basic as the key, as in "https://x:KEY@host", for programs that accept only a URL. A
	// key header takes precedence. Immich never sees the password; with [Config.ForwardKey] it gets the key in [Config.KeyHeader].
	// Default: false.
	BasicAuth bool `yaml:"basicAuth"`
	// ClientCertificates accepts a client certificate that TLS has verified in place of a key, named by its common name (letters,
	// digits and "._-"). If a key is sent as well, the key decides. In Traefik, "tls.options.NAME.clientAuth" requests
	// certificates; in the standalone proxy, "tls.clientCA". The certificate of one of [Config.TrustedProxies] is not accepted.
	// Default: false.
	ClientCertificates bool `yaml:"clientCertificates"`
	// RevokedCertificates are the common names, or serial numbers in hex, of client certificates that are no longer accepted.
	// Default: none.
	RevokedCertificates []string `yaml:"revokedCertificates"`
	// MaxWrongKeys is the number of different wrong keys, at most 1000, after which a client gets 429; "0" turns this off. A
	// client is an IPv4 address or an IPv6 /64; an IPv6 /48 may try ten times as many. The lockout holds for a valid key as
	// well, and lasts until the first of the wrong keys is older than [Config.WrongKeyWindow].
	// Default: 10.
	MaxWrongKeys string `yaml:"maxWrongKeys"` // a string for the same reason as RequireKey
	// WrongKeyWindow is how long a wrong key counts towards [Config.MaxWrongKeys].
	// Default: 15m.
	WrongKeyWindow string `yaml:"wrongKeyWindow"`
	// DenyStatus is the status of a response to a request without a valid key: "401", "403" or "404".
	// Default: 403.
	DenyStatus int `yaml:"denyStatus"`
	// LogDenied logs a line for each denied request, at most ten per second, never with a secret.
	// Default: true.
	LogDenied bool `yaml:"logDenied"`
}

// CreateConfig returns the default options; Traefik calls it before it fills in the user's.
func CreateConfig() *Config {
	return &Config{
		RequireKey:     "true",
		KeyHeader:      defaultKeyHeader,
		MaxUploadSize:  defaultMaxUploadSize,
		BrowserSession: defaultBrowserSession,
		MaxWrongKeys:   defaultMaxWrongKeys,
		WrongKeyWindow: defaultWrongKeyWindow,
		DenyStatus:     http.StatusForbidden,
		LogDenied:      true,
	}
}

const (
	defaultKeyHeader      = "X-Access-Key"
	defaultMaxUploadSize  = "50000M"
	defaultBrowserSession = "720h"
	defaultMaxWrongKeys   = "10"
	defaultWrongKeyWindow = "15m"

	largestMaxWrongKeys = 1000
	minSessionSecret    = 32       // characters
	maxSecretFile       = 64 << 10 // bytes
)

// settings are the options in the form that the handler uses.
type settings struct {
	keys            *keySet  // of keys and keysFile
	keysFile        *keyFile // nil without keysFile
	requireKey      bool
	keyHeader       string // canonical
	forwardKey      bool
	keyNameHeader   string // canonical; "" without one
	maxUploadSize   int64  // bytes; 0 for no limit
	maxUploadText   string // as it was written
	trustedProxies  *networks
	keylessNetworks *networks
	publicRoutes    routes
	browserLogin    bool
	browserSession  time.Duration
	sessionSecret   []byte // nil without sessionSecretFile
	basicAuth       bool
	maxWrongKeys    int // 0 for no limit
	wrongKeyWindow  time.Duration
	denyStatus      int
	logDenied       bool

	clientCertificates *clientCertificates // nil if they do not count
}

// parse reads the options. Its error lists everything that is wrong with them.
func parse(config *Config, name string) (*settings, error) {
	var errs problems
	s := &settings{
		requireKey:      parseBool("requireKey", orDefault(config.RequireKey, "true"), &errs),
		keyHeader:       parseHeaderName("keyHeader", orDefault(config.KeyHeader, defaultKeyHeader), &errs),
		forwardKey:      config.ForwardKey,
		maxUploadText:   orDefault(strings.TrimSpace(config.MaxUploadSize), defaultMaxUploadSize),
		trustedProxies:  parseNetworks("trustedProxies", config.TrustedProxies, &errs),
		keylessNetworks: parseNetworks("keylessNetworks", config.KeylessNetworks, &errs),
		publicRoutes:    parsePublicRoutes(config.PublicRoutes, &errs),
		browserSession:  parseDuration("browserSession", orDefault(config.BrowserSession, defaultBrowserSession), &errs),
		sessionSecret:   parseSecretFile("sessionSecretFile", config.SessionSecretFile, &errs),
		basicAuth:       config.BasicAuth,
		maxWrongKeys:    parseCount("maxWrongKeys", orDefault(strings.TrimSpace(config.MaxWrongKeys), defaultMaxWrongKeys), &errs),
		wrongKeyWindow:  parseDuration("wrongKeyWindow", orDefault(config.WrongKeyWindow, defaultWrongKeyWindow), &errs),
		denyStatus:      parseDenyStatus(config.DenyStatus, &errs),
		logDenied:       config.LogDenied,
	}
	s.browserLogin = config.BrowserLogin && s.requireKey
	s.maxUploadSize = parseSize("maxUploadSize", s.maxUploadText, &errs)
	s.parseKeyNameHeader(config.KeyNameHeader, &errs)
	s.parseCertificates(config, &errs)
	s.parseKeys(config, &errs)
	return s, errs.err(name)
}

// Validate returns the error that [New] would return, which lists every invalid option. It reads KeysFile and SessionSecretFile, and
// logs nothing.
func (c *Config) Validate() error {
	_, err := parse(c, "")
	return err
}

func (s *settings) parseCertificates(config *Config, errs *problems) {
	c := &clientCertificates{revokedNames: map[string]bool{}, revokedSerials: map[string]bool{}}
	c.parseRevoked(config.RevokedCertificates, errs)
	if config.ClientCertificates {
		s.clientCertificates = c
	}
}

// parseKeys reads the keys of the configuration and of the file.
func (s *settings) parseKeys(config *Config, errs *problems) {
	before := len(*errs)
	inline := newKeySet()
	for i, text := range config.Keys {
		if err := inline.add(text); err != nil {
			errs.add("keys", "entry %d: %w", i+1, err)
		}
	}
	s.keys = inline
	if config.KeysFile != "" {
		s.keysFile = &keyFile{path: config.KeysFile, inline: inline}
		all, err := s.keysFile.load()
		if err != nil {
			errs.add("keysFile", "%w", err)
		} else {
			s.keys = all
		}
	}
	if s.requireKey && s.clientCertificates == nil && len(s.keys.byDigest) == 0 && len(*errs) == before {
		errs.add("requireKey", "there is no key, so nobody could get in; give keys, keysFile or clientCertificates, or set requireKey to false to let everybody in")
	}
}

func (s *settings) parseKeyNameHeader(name string, errs *problems) {
	if name == "" {
		return
	}
	s.keyNameHeader = parseHeaderName("keyNameHeader", name, errs)
	if s.keyNameHeader == s.keyHeader {
		errs.add("keyNameHeader", "%q is the header that carries the key; choose another", name)
	}
}

// ineffective reports whether options are set that have no effect with requireKey=false.
func (s *settings) ineffective(config *Config) bool {
	return !s.requireKey && (len(s.keys.byDigest) > 0 || config.BrowserLogin || config.ClientCertificates || len(config.KeylessNetworks)+len(config.PublicRoutes) > 0)
}

// problems collects what is wrong with the options, so that one start reports all of it.
type problems []error

func (p *problems) add(option, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %w", option, fmt.Errorf(format, args...)))
}

// err returns one error that wraps them all. It comes from Errorf, since in Yaegi a type of ours would lose its Unwrap.
func (p *problems) err(name string) error {
	if len(*p) == 0 {
		return nil
	}
	subject := "the configuration"
	if name != "" {
		subject += fmt.Sprintf(" of %q", name)
	}
	args := []any{subject}
	for _, problem := range *p {
		args = append(args, problem)
	}
	return fmt.Errorf("immichaccess: %s is wrong: %w"+strings.Repeat("; %w", len(*p)-1), args...)
}

// parseSecretFile returns nil where no file is given.
func parseSecretFile(option, path string, errs *problems) []byte {
	if path == "" {
		return nil
	}
	_, text, err := readRegularFile(path, maxSecretFile)
	if err != nil {
		errs.add(option, "%w", err)
		return nil
	}
	secret := strings.TrimSpace(text)
	if len(secret) < minSessionSecret {
		errs.add(option, "%s holds %d characters; at least %d are needed, such as those of openssl rand -hex 32", path, len(secret), minSessionSecret)
	}
	return []byte(secret)
}

// readRegularFile reads a file with a maximum size, without the byte order mark that Windows adds.
func readRegularFile(path string, limit int64) (os.FileInfo, string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, "", err
	}
	if int64(len(text)) > limit {
		return nil, "", fmt.Errorf("%s is larger than %s", path, sizeText(limit))
	}
	return info, strings.TrimPrefix(string(text), "\ufeff"), nil
}

func sizeText(bytes int64) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

func parseBool(option, text string, errs *problems) bool {
	value, err := strconv.ParseBool(text)
	if err != nil {
		errs.add(option, "%q is neither true nor false", text)
	}
	return value || err != nil
}

func parseCount(option, text string, errs *problems) int {
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 || count > largestMaxWrongKeys {
		errs.add(option, "%q is not a number of keys; allowed are 1 to %d, and 0 to turn it off", text, largestMaxWrongKeys)
	}
	return count
}

func parseDenyStatus(status int, errs *problems) int {
	switch status {
	case 0:
		return http.StatusForbidden
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
	default:
		errs.add("denyStatus", "%d is not allowed; choose 401, 403 or 404", status)
	}
	return status
}

// parseSize reads nginx's syntax, where units are powers of 1024.
func parseSize(option, text string, errs *problems) int64 {
	size, ok := sizeInBytes(text)
	if !ok {
		errs.add(option, "%q is not a size; allowed are bytes (1048576) and nginx's units k, m and g (512k, 50000M, 50g) of less than 8 EiB, and 0 for no limit", text)
	}
	return size
}

func sizeInBytes(text string) (size int64, ok bool) {
	digits := strings.TrimRight(text, "kKmMgG")
	shift := map[string]uint{"": 0, "k": 10, "m": 20, "g": 30}
	bits, known := shift[strings.ToLower(text[len(digits):])]
	size, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || strings.ContainsAny(digits, "+-_") || size > math.MaxInt64>>bits {
		return 0, false
	}
	return size << bits, true
}

// parseDuration requires a second or more, since cookies and Retry-After have no smaller unit.
func parseDuration(option, text string, errs *problems) time.Duration {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < time.Second {
		errs.add(option, "%q is not a duration; allowed are hours, minutes and seconds, such as 720h, 15m or 1h30m, from 1s on", text)
	}
	return d
}

// orDefault returns the default of an option that is empty, such as from an unset variable.
func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
