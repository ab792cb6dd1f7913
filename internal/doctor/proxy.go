package doctor

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Proxy is a kind of reverse proxy, by its common name.
type Proxy string

// The proxies that can be recognized, and for which remedies are known.
const (
	Nginx        Proxy = "nginx"
	ProxyManager Proxy = "Nginx Proxy Manager"
	Caddy        Proxy = "Caddy"
	Traefik      Proxy = "Traefik"
	HAProxy      Proxy = "HAProxy"
	Cloudflare   Proxy = "Cloudflare"
	ImmichAccess Proxy = "immichaccess"
	Apache       Proxy = "Apache"
)

// guess is who answers, the outermost first, and what shows that.
type guess struct {
	proxies []Proxy
	traces  string
}

func (g guess) names() []string {
	names := []string{}
	for _, p := range g.proxies {
		names = append(names, string(p))
	}
	return names
}

// sign is what identifies a proxy in a response.
type sign struct {
	proxy  Proxy
	header string // to be matched; without one, the body of an error
	match  *regexp.Regexp
}

// signs are in the order in which proxies usually are: the outermost first.
var signs = []sign{
	{Cloudflare, "Cf-Ray", regexp.MustCompile(`.`)},
	{Cloudflare, "Server", regexp.MustCompile(`(?i)^cloudflare`)},
	{ProxyManager, "Server", regexp.MustCompile(`(?i)^openresty`)},
	{ProxyManager, "X-Served-By", regexp.MustCompile(`.`)},
	{ProxyManager, "", regexp.MustCompile(`<center>openresty`)},
	{Nginx, "Server", regexp.MustCompile(`(?i)^nginx`)},
	{Nginx, "", regexp.MustCompile(`<center>nginx`)},
	{Caddy, "Server", regexp.MustCompile(`^Caddy`)},
	{Caddy, "Via", regexp.MustCompile(`Caddy`)},
	{Traefik, "X-Traefik", regexp.MustCompile(`.`)},
	{Apache, "Server", regexp.MustCompile(`^Apache`)},
	{HAProxy, "Via", regexp.MustCompile(`(?i)haproxy`)},
	{HAProxy, "", regexp.MustCompile(`<html><body><h1>\d{3} [A-Z][^<]*</h1>`)},
	{ImmichAccess, "", regexp.MustCompile(`access key[^"]*header `)}, // inside Traefik as well, and then behind it
	{ImmichAccess, "WWW-Authenticate", regexp.MustCompile(`^AccessKey `)},
}

// traces collects the signs in all answers.
type traces struct {
	mu   sync.Mutex
	seen map[Proxy]string
}

func (t *traces) note(a *answer) {
	for _, s := range signs {
		text := string(a.body)
		if s.header != "" {
			text = strings.Join(a.header.Values(s.header), ", ")
		} else if a.status < http.StatusBadRequest {
			continue
		}
		if s.match.MatchString(text) {
			t.add(s.proxy, s.trace(text))
		}
	}
}

func (s sign) trace(text string) string {
	if s.header == "" {
		return "its error"
	}
	return s.header + ": " + shorten(text, 40)
}

func (t *traces) add(proxy Proxy, trace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = map[Proxy]string{}
	}
	if t.seen[proxy] == "" {
		t.seen[proxy] = trace
	}
}

// guessProxy sends, only if no response identifies the proxy, a request for an unknown name and one that is malformed: the
// error pages of proxies differ.
func (e *examination) guessProxy(ctx context.Context) guess {
	if e.isUnknownProxy() && len(e.addresses) > 0 && ctx.Err() == nil {
		e.provoke(ctx)
	}
	var g guess
	var why []string
	for _, s := range signs {
		if trace := e.traces.seen[s.proxy]; trace != "" && !slices.Contains(g.proxies, s.proxy) {
			g.proxies = append(g.proxies, s.proxy)
			why = append(why, trace)
		}
	}
	// Nginx Proxy Manager is nginx as well.
	if slices.Contains(g.proxies, ProxyManager) {
		g.proxies = slices.DeleteFunc(g.proxies, func(p Proxy) bool { return p == Nginx })
	}
	g.traces = strings.Join(why, "; ")
	return g
}

// isUnknownProxy is also true if only immichaccess was seen, which may be a plugin in Traefik.
func (e *examination) isUnknownProxy() bool {
	for proxy := range e.traces.seen {
		if proxy != ImmichAccess {
			return false
		}
	}
	return true
}

func (e *examination) provoke(ctx context.Context) {
	unknown := e.sendRaw(ctx, []byte("GET / HTTP/1.1\r\nHost: immichaccess-doctor.invalid\r\nConnection: close\r\n\r\n"))
	// An unknown path gets this 404 from net/http, and of these proxies, only from Traefik.
	if unknown.status == http.StatusNotFound && strings.TrimSpace(string(unknown.body)) == "404 page not found" {
		e.traces.add(Traefik, "its 404 to an unknown name")
		return
	}
	if len(e.traces.seen) == 0 {
		_ = e.sendRaw(ctx, []byte("DOCTOR\r\n\r\n"))
	}
	if e.target.isTLS() && len(e.traces.seen) == 0 {
		e.traceCertificate(ctx)
	}
}

// traceCertificate looks at the certificate that is presented for an unknown name.
func (e *examination) traceCertificate(ctx context.Context) {
	state, err := e.handshake(ctx, e.addresses[0], "immichaccess-doctor.invalid")
	if err == nil && state.PeerCertificates[0].Subject.CommonName == "TRAEFIK DEFAULT CERT" {
		e.traces.add(Traefik, "its default certificate")
	}
}
