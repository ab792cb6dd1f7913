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
	keyless *networks // whose clients need no key
	// mayBeTrusted holds the first three characters of every peer address that may be trusted. It rules out most peers
	// with one map lookup, however many networks are trusted.
	mayBeTrusted map[string]bool
	// leastTrusted is the first of mayBeTrusted in the order of texts. It rules out every peer address before it, which without
	// trusted proxies are all usual ones, with one comparison.
	leastTrusted string
	sources      memo // peer and X-Forwarded-For → *source
}

func newForwarding(trusted, keyless *networks) *forwarding {
	f := &forwarding{trusted: trusted, keyless: keyless}
	f.mayBeTrusted = map[string]bool{
		"[fe": true, // link-local: the address may have a zone
		"[::": true, // may be IPv4 in IPv6
	}
	for prefix := range trusted.prefixes {
		addBeginnings(f.mayBeTrusted, prefix)
	}
	f.leastTrusted = "[fe"
	for beginning := range f.mayBeTrusted {
		if beginning < f.leastTrusted {
			f.leastTrusted = beginning
		}
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

// source is where a request comes from, according to the peer's address and X-Forwarded-For.
type source struct {
	trusted bool       // whether the peer is trusted
	client  netip.Addr // not valid if the peer has no address
	keyless bool       // whether the client needs no key
	chain   []string   // from the client to the last proxy before the peer

	realIP       []string // the values of the headers for Immich; nil: none
	forwardedFor []string
}

// claims is what is known about the client of a request: what a trusted proxy says, or else the peer's address.
type claims struct {
	*source
	proto  []string // nil if the peer gives none, or none that is valid
	host   string   // "" if the peer gives none, or none that is valid
	port   []string
	prefix []string
}

// claimsOf returns nil for a peer that can't be trusted: it is the client. It must be called before the forwarding headers are
// changed.
func (f *forwarding) claimsOf(r *http.Request) *claims {
	if len(r.RemoteAddr) >= 3 && !f.mayBeTrusted[r.RemoteAddr[:3]] {
		return nil
	}
	h := r.Header
	from := sourceOf(f, r.RemoteAddr, h["X-Forwarded-For"])
	if !from.trusted {
		return &claims{source: from}
	}
	return &claims{
		source: from,
		proto:  claimedProto(h["X-Forwarded-Proto"]),
		host:   claimedHost(h["X-Forwarded-Host"]),
		port:   h["X-Forwarded-Port"],
		prefix: h["X-Forwarded-Prefix"],
	}
}

// sourceOf caches the results, since most requests come from the same few clients. It is not a method, which would cost Yaegi more
// to call.
func sourceOf(f *forwarding, peer string, forwardedFor []string) *source {
	colon := strings.LastIndexByte(peer, ':')
	if colon < 0 || len(forwardedFor) > 1 {
		return f.findSource(peer, forwardedFor)
	}
	addresses := peer[:colon] + " "
	if len(forwardedFor) == 1 {
		addresses += forwardedFor[0]
	}
	if known, ok := f.sources.entries.Load(addresses); ok {
		return known.(*source)
	}
	found := f.findSource(peer, forwardedFor)
	f.sources.add(addresses, found)
	return found
}

func (f *forwarding) findSource(peer string, forwardedFor []string) *source {
	addr, ok := parseAddr(peer)
	if !ok {
		return &source{}
	}
	s := &source{client: addr, trusted: f.trusted.contain(addr)}
	named := true
	if s.trusted {
		s.client, named, s.chain = f.resolveClient(addr, strings.Join(forwardedFor, ","))
	}
	s.keyless = named && f.keyless.contain(s.client)
	s.realIP = []string{s.client.String()}
	if len(s.chain) > 0 {
		s.forwardedFor = []string{strings.Join(s.chain, ", ")}
	}
	return s
}

// resolveClient reads X-Forwarded-For from right to left, beginning at the peer, which is trusted. Each trusted proxy
// vouches for the address before its own; the first address that is not trusted is the client's, and everything to the
// left of it could be spoofed. If a value is not an address, the client is the proxy that forwarded it.
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

// protoHeaders are the values of X-Forwarded-Proto for Immich. Traefik uses ws and wss for WebSocket handshakes, which Immich
// does not know.
var protoHeaders = map[string][]string{"http": {"http"}, "ws": {"http"}, "https": {"https"}, "wss": {"https"}}

func claimedProto(values []string) []string {
	if len(values) != 1 {
		return nil
	}
	if known := protoHeaders[values[0]]; known != nil {
		return known
	}
	return protoHeaders[strings.ToLower(strings.TrimSpace(values[0]))]
}

func claimedHost(values []string) string {
	if len(values) != 1 || strings.ContainsAny(values[0], ", ") {
		return ""
	}
	return values[0]
}

// hopByHop is the Connection header, which names the headers for the next proxy to drop (RFC 9110, section 7.6.1). It
// replaces the client's, which could name ours, and lists the underscore variants of the forwarding headers. A proxy
// passes Upgrade on only if there is an Upgrade header too.
var hopByHop = []string{"Upgrade, " +
	"X_forwarded_for, X_forwarded_host, X_forwarded_proto, X_real_ip, " +
	"X-Forwarded_for, X_forwarded-For, X-Forwarded_host, X_forwarded-Host, " +
	"X-Forwarded_proto, X_forwarded-Proto, X-Real_ip, X_real-Ip, " +
	"X_forwarded_port, X-Forwarded_port, X_forwarded-Port, X_forwarded_prefix, X-Forwarded_prefix, X_forwarded-Prefix"}

// apply sets the headers that the claims determine, after the other forwarding headers are set and X-Forwarded-For is removed. It
// is not a method, which would cost Yaegi more to call.
func apply(c *claims, h http.Header) {
	if c.realIP == nil {
		delete(h, "X-Real-Ip")
		return
	}
	h["X-Real-Ip"] = c.realIP
	if !c.trusted {
		return
	}
	if c.forwardedFor != nil {
		h["X-Forwarded-For"] = c.forwardedFor
	}
	if c.proto != nil {
		h["X-Forwarded-Proto"] = c.proto
	}
	if c.host != "" {
		h["X-Forwarded-Host"] = []string{c.host}
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

// sourceOfRequest must be called before the forwarding headers are changed.
func (f *forwarding) sourceOfRequest(r *http.Request) *source {
	return sourceOf(f, r.RemoteAddr, r.Header["X-Forwarded-For"])
}

// client returns the address of the request's client, which is invalid if there is none.
func (f *forwarding) client(r *http.Request) netip.Addr {
	return f.sourceOfRequest(r).client
}

// isKeyless reports whether the request's client needs no key. A trusted proxy that names no client does: anybody may be behind
// it.
func (f *forwarding) isKeyless(r *http.Request) bool {
	return len(f.keyless.lengths) > 0 && f.sourceOfRequest(r).keyless
}

// isProxy reports whether the request comes from a trusted proxy.
func (f *forwarding) isProxy(r *http.Request) bool {
	peer, ok := parseAddr(r.RemoteAddr)
	return ok && f.trusted.contain(peer)
}

// secure reports whether the client uses HTTPS, as far as that can be known here.
func (f *forwarding) secure(r *http.Request) bool {
	if c := f.claimsOf(r); c != nil && c.proto != nil {
		return c.proto[0] == "https"
	}
	return r.TLS != nil
}
