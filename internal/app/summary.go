package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/config"
)

const (
	pingTimeout   = 3 * time.Second
	maxNamesShown = 20 // of keys, of which a file can have thousands
	none          = "none"
)

// Summary describes where clients connect, who gets in, and what needs no key.
type Summary struct {
	URLs        []string // of listen.https or, without it, of listen.plain
	Keys        []string // the names of the keys in force
	ExpiredKeys []string
	Open        []string // the options that let requests in without a key, as OPTION=VALUE
}

// Summarize describes valid settings.
func Summarize(settings *config.Settings) (*Summary, error) {
	return summarize(settings, settings.Listen)
}

// summarize takes the addresses apart from the settings, where a port may be 0, or a socket may be systemd's.
func summarize(settings *config.Settings, listen config.Listen) (*Summary, error) {
	valid, expired, err := immichaccess.KeyNames(&settings.Access)
	if err != nil {
		return nil, err
	}
	s := &Summary{URLs: urls(names(settings), listen), Keys: valid, ExpiredKeys: expired}
	access := &settings.Access
	if required, err := strconv.ParseBool(access.RequireKey); err == nil && !required {
		s.Keys, s.ExpiredKeys = nil, nil
		s.Open = []string{"access.requireKey=false"}
		return s, nil
	}
	if len(access.PublicRoutes) > 0 {
		s.Open = append(s.Open, "access.publicRoutes="+strings.Join(access.PublicRoutes, ","))
	}
	if len(access.KeylessNetworks) > 0 {
		s.Open = append(s.Open, "access.keylessNetworks="+strings.Join(access.KeylessNetworks, ","))
	}
	if listen.Keyless != "" {
		s.Open = append(s.Open, "listen.keyless="+listen.Keyless)
	}
	return s, nil
}

// names are the host names by which clients can reach the proxy: the domains or, without any, those of its own certificate.
func names(settings *config.Settings) []string {
	if len(settings.Domains) > 0 || settings.TLS.CertFile == "" {
		return settings.Domains
	}
	pair, err := tls.LoadX509KeyPair(settings.TLS.CertFile, settings.TLS.KeyFile)
	if err != nil {
		return nil // config has checked it, and certs reports it
	}
	return slices.DeleteFunc(slices.Clone(pair.Leaf.DNSNames), func(name string) bool { return strings.HasPrefix(name, "*.") })
}

// urls returns the addresses that clients use: those with the names or, without any, where the proxy listens.
func urls(names []string, listen config.Listen) []string {
	if listen.HTTPS == "" {
		return []string{"http://" + authority("", listen.Plain, "80")}
	}
	if len(names) == 0 {
		return []string{"https://" + authority("", listen.HTTPS, "443")}
	}
	var all []string
	for _, name := range names {
		all = append(all, "https://"+authority(name, listen.HTTPS, "443"))
	}
	return all
}

// authority returns host and port of a URL. Without a host, it is that of the address, and localhost if that is every address
// of the machine.
func authority(host, address, defaultPort string) string {
	own, port, err := net.SplitHostPort(address)
	if err != nil {
		return address // config has checked it
	}
	if host == "" {
		host = own
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if port != defaultPort {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// KeysText names the keys in force, or says that there is none.
func (s *Summary) KeysText() string { return namesText(s.Keys) }

// ExpiredText names the keys that have expired, or says that there is none.
func (s *Summary) ExpiredText() string { return namesText(s.ExpiredKeys) }

// OpenText names what needs no key, or says that there is nothing.
func (s *Summary) OpenText() string {
	if len(s.Open) == 0 {
		return none
	}
	return strings.Join(s.Open, " ")
}

func namesText(names []string) string {
	switch {
	case len(names) == 0:
		return none
	case len(names) > maxNamesShown:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamesShown], ","), len(names)-maxNamesShown)
	}
	return strings.Join(names, ",")
}

// PingUpstreams checks, for all upstreams in parallel, that Immich answers there. The errors are in the order of the upstreams,
// nil for one that does.
func PingUpstreams(ctx context.Context, upstreams []string) []error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true} // like the proxy's, without the proxy of the environment
	errs := make([]error, len(upstreams))
	var wait sync.WaitGroup
	for i, upstream := range upstreams {
		wait.Go(func() { errs[i] = ping(ctx, transport, upstream) })
	}
	wait.Wait()
	return errs
}

func ping(ctx context.Context, transport http.RoundTripper, upstream string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(upstream, "/")+"/api/server/ping", nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("the response to GET /api/server/ping is %s", response.Status)
	case !strings.Contains(string(body), "pong"):
		return errors.New("the response to GET /api/server/ping is not Immich's")
	}
	return nil
}

// logSummary logs the summary, and the answers of the upstreams as soon as they are known.
func (a *App) logSummary(ctx context.Context) {
	s, err := summarize(a.settings, a.addresses())
	if err != nil { // the key file has become invalid since it was read, which its own line says
		a.logger.Warn("the keys can't be listed", "error", err)
		return
	}
	a.logger.Info("reachable", "url", strings.Join(s.URLs, ","))
	a.logger.Info("access keys", "inForce", s.KeysText(), "expired", s.ExpiredText(), "clientCertificates", a.settings.Access.ClientCertificates)
	a.logger.Info("open without a key", "options", s.OpenText())
	go a.logUpstreams(ctx, a.settings.Upstreams)
}

func (a *App) logUpstreams(ctx context.Context, upstreams []string) {
	errs := PingUpstreams(ctx, upstreams)
	if ctx.Err() != nil { // stopped in the meantime
		return
	}
	for i, upstream := range upstreams {
		if errs[i] == nil {
			a.logger.Info("Immich answers", "upstream", upstream)
			continue
		}
		a.logger.Warn("Immich does not answer yet", "upstream", upstream, "error", errs[i])
	}
}

// addresses are where the listeners are, by their options.
func (a *App) addresses() config.Listen {
	text := func(l net.Listener) string {
		if l == nil {
			return ""
		}
		return l.Addr().String()
	}
	return config.Listen{HTTPS: text(a.listeners.HTTPS), Plain: text(a.listeners.Plain), Keyless: text(a.listeners.Keyless)}
}
