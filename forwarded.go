package immichaccess

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// forwarding decides who the client is. It is the only place that reads forwarding headers.
type forwarding struct {
	trusted *networks
	// mayBeTrusted holds the first three characters of every peer address that may be trusted. It rules out most peers
	// with one map lookup, however many networks are trusted.
	mayBeTrusted map[string]bool
}

func newForwarding(trusted *networks) *forwarding {
	f := &forwarding{trusted: trusted}
	f.mayBeTrusted = map[string]bool{
		"[fe": true, // link-local: the address may have a zone
		"[::": true, // may be IPv4 in IPv6
	}
	for prefix := range trusted.prefixes {
		addBeginnings(f.mayBeTrusted, prefix)
	}
	return f
}

// addBeginnings adds the first three characters that the prefix's addresses can have in "IP:port".
func addBeginnings(beginnings map[string]bool, prefix netip.Prefix) {
	if prefix.Addr().Is4() {
		first, last := leadingRange(int(prefix.Addr().As4()[0]), 8, prefix.Bits())
		for octet := first; octet <= last; octet++ {
			addBeginning(beginnings, strconv.Itoa(octet)+".", "0123456789")
		}
		return
	}
	bytes := prefix.Addr().As16()
	first, last := leadingRange(int(bytes[0])<<8|int(bytes[1]), 16, prefix.Bits())
	for group := first; group <= last; group++ {
		addBeginning(beginnings, "["+strconv.FormatInt(int64(group), 16)+":", "")
	}
	if first == 0 {
		beginnings["[::"] = true
	}
}

// leadingRange returns the values that the leading number, of so many bits, takes within a prefix.
func leadingRange(number, size, bits int) (first, last int) {
	if bits >= size {
		return number, number
	}
	return number, number | (1<<(size-bits) - 1)
}

// addBeginning adds the first three characters of text, which is followed by one of next where it is shorter.
func addBeginning(beginnings map[string]bool, text, next string) {
	if len(text) >= 3 {
		beginnings[text[:3]] = true
		return
	}
	for i := 0; i < len(next); i++ {
		beginnings[text+next[i:i+1]] = true
	}
}

// claims is what is known of the client of a request: what a trusted proxy says of it, or else the peer's address.
type claims struct {
	client      netip.Addr // not valid if the peer has no address
	named       bool       // false if the client is a trusted proxy that names no client of its own
	chain       []string   // from the client to the last proxy before the peer
	proto, host string     // "" if the peer gives none, or none that is valid
	port        []string
	prefix      []string
}

// resolve must be called before the forwarding headers are touched.
func (f *forwarding) resolve(r *http.Request) *claims {
	peer, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return &claims{}
	}
	if !f.trusted.contain(peer) {
		return &claims{client: peer, named: true}
	}
	h := r.Header
	client, named, chain := f.resolveClient(peer, strings.Join(h["X-Forwarded-For"], ","))
	return &claims{
		client: client,
		named:  named,
		chain:  chain,
		proto:  claimedProto(h["X-Forwarded-Proto"]),
		host:   claimedHost(h["X-Forwarded-Host"]),
		port:   h["X-Forwarded-Port"],
		prefix: h["X-Forwarded-Prefix"],
	}
}

// resolveClient reads X-Forwarded-For from right to left, beginning at the peer, which is trusted. Each trusted proxy
// vouches for the address before its own; the first address that is not trusted is the client's, and everything to the
// left of it could be spoofed. Where something is not an address, the client is the proxy that passed it on.
func (f *forwarding) resolveClient(peer netip.Addr, forwardedFor string) (client netip.Addr, named bool, chain []string) {
	client = peer
	for f.trusted.contain(client) {
		comma := strings.LastIndexByte(forwardedFor, ',')
		addr, ok := parseAddr(strings.TrimSpace(forwardedFor[comma+1:]))
		if !ok {
			return client, false, reversed(chain)
		}
		client = addr
		chain = append(chain, addr.String())
		if comma < 0 {
			break
		}
		forwardedFor = forwardedFor[:comma]
	}
	return client, true, reversed(chain)
}

func reversed(list []string) []string {
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// claimedProto turns ws and wss, which Traefik uses for WebSocket handshakes, into http and https, which Immich knows.
func claimedProto(values []string) string {
	switch strings.ToLower(strings.TrimSpace(strings.Join(values, ","))) {
	case "https", "wss":
		return "https"
	case "http", "ws":
		return "http"
	}
	return ""
}

func claimedHost(values []string) string {
	if len(values) != 1 || strings.ContainsAny(values[0], ", ") {
		return ""
	}
	return values[0]
}

// hopByHop is the Connection header, which names the headers for the next proxy to drop (RFC 9110, section 7.6.1). It
// replaces the client's, which could name ours, and lists the rarer underscore variants of the forwarding headers. A proxy
// passes Upgrade on only if there is an Upgrade header too.
var hopByHop = []string{"Upgrade, " +
	"X-Forwarded_for, X_forwarded-For, X-Forwarded_host, X_forwarded-Host, " +
	"X-Forwarded_proto, X_forwarded-Proto, X-Real_ip, X_real-Ip, " +
	"X_forwarded_port, X-Forwarded_port, X_forwarded-Port, X_forwarded_prefix, X-Forwarded_prefix, X_forwarded-Prefix"}

// apply sets what the claims say, when the rest of the forwarding headers is set.
func (c *claims) apply(h http.Header) {
	set(h, "X-Real-Ip", addressText(c.client, ""))
	set(h, "X-Forwarded-For", strings.Join(c.chain, ", "))
	if c.proto != "" {
		set(h, "X-Forwarded-Proto", c.proto)
	}
	if c.host != "" {
		set(h, "X-Forwarded-Host", c.host)
	}
	if c.port != nil {
		h["X-Forwarded-Port"] = c.port
	}
	if c.prefix != nil {
		h["X-Forwarded-Prefix"] = c.prefix
	}
}

func set(h http.Header, name, value string) {
	if value == "" {
		delete(h, name)
		return
	}
	h[name] = []string{value}
}

// unknownClient is logged for a client without an address.
const unknownClient = "unknown"

// client returns the address of the request's client, before the forwarding headers are touched. It is not valid if there
// is none.
func (f *forwarding) client(r *http.Request) netip.Addr {
	return f.resolve(r).client
}

// isProxy tells whether the request comes from a trusted proxy.
func (f *forwarding) isProxy(r *http.Request) bool {
	peer, ok := parseAddr(r.RemoteAddr)
	return ok && f.trusted.contain(peer)
}

// clientIn tells whether the request's client is in the networks. A trusted proxy that names no client is not: anybody may
// be behind it.
func (f *forwarding) clientIn(n *networks, r *http.Request) bool {
	if len(n.lengths) == 0 {
		return false
	}
	c := f.resolve(r)
	return c.named && n.contain(c.client)
}

// secure tells whether the client uses HTTPS, as far as that can be known here.
func (f *forwarding) secure(r *http.Request) bool {
	if proto := f.resolve(r).proto; proto != "" {
		return proto == "https"
	}
	return r.TLS != nil
}
