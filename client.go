package immichaccess

import (
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strconv"
	"strings"
)

// networks is a set of addresses. Looking one up costs as much as there are prefix lengths, not networks.
type networks struct {
	lengths  []int
	prefixes map[netip.Prefix]bool
}

func (n *networks) add(prefix netip.Prefix) {
	if !n.hasLength(prefix.Bits()) {
		n.lengths = append(n.lengths, prefix.Bits())
	}
	n.prefixes[prefix] = true
}

func (n *networks) hasLength(bits int) bool {
	for _, known := range n.lengths {
		if known == bits {
			return true
		}
	}
	return false
}

func (n *networks) contain(addr netip.Addr) bool {
	for _, bits := range n.lengths {
		if prefix, err := addr.Prefix(bits); err == nil && n.prefixes[prefix] {
			return true
		}
	}
	return false
}

// networkWords stand for the networks everybody would have to look up.
var networkWords = map[string][]string{
	"loopback": {"127.0.0.0/8", "::1/128"},
	"private":  {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}, // RFC 1918, RFC 4193
}

func parseNetworks(option string, texts []string, errs *problems) *networks {
	n := &networks{prefixes: map[netip.Prefix]bool{}}
	for _, text := range texts {
		text = strings.TrimSpace(text)
		members, isWord := networkWords[text]
		if !isWord {
			members = []string{text}
		}
		for _, member := range members {
			prefix, ok := parseNetwork(member)
			if !ok {
				errs.add(option, "%q is not a network; allowed are addresses (192.0.2.1, 2001:db8::1), CIDRs (192.0.2.0/24), loopback and private", text)
				continue
			}
			n.add(prefix)
		}
	}
	return n
}

func parseNetwork(text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, false
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if prefix.Addr().Is4In6() {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), prefix.IsValid()
}

// forwarding decides who the client is. It is the only place that reads forwarding headers.
type forwarding struct {
	trusted *networks
	// suspects are the first three characters of every peer address that may need a closer look. They rule out most
	// peers with one look into a map, however many networks are trusted.
	suspects map[string]bool
}

func newForwarding(config *Config, errs *problems) *forwarding {
	f := &forwarding{trusted: parseNetworks("trustedProxies", config.TrustedProxies, errs)}
	f.suspects = map[string]bool{
		"[fe": true, // link-local: the address may have a zone
		"[::": true, // may be IPv4 in IPv6
	}
	for prefix := range f.trusted.prefixes {
		suspect(f.suspects, prefix)
	}
	return f
}

// suspect adds how the text of the prefix's addresses can begin in "IP:port".
func suspect(suspects map[string]bool, prefix netip.Prefix) {
	if prefix.Addr().Is4() {
		first, last := leadingRange(int(prefix.Addr().As4()[0]), 8, prefix.Bits())
		for octet := first; octet <= last; octet++ {
			suspectText(suspects, strconv.Itoa(octet)+".", "0123456789")
		}
		return
	}
	bytes := prefix.Addr().As16()
	first, last := leadingRange(int(bytes[0])<<8|int(bytes[1]), 16, prefix.Bits())
	for group := first; group <= last; group++ {
		suspectText(suspects, "["+strconv.FormatInt(int64(group), 16)+":", "")
	}
	if first == 0 {
		suspects["[::"] = true
	}
}

// leadingRange returns the values that the leading number, of so many bits, takes within a prefix.
func leadingRange(number, size, bits int) (first, last int) {
	if bits >= size {
		return number, number
	}
	return number, number | (1<<(size-bits) - 1)
}

// suspectText adds the first three characters of text, which if it is shorter goes on with one of next.
func suspectText(suspects map[string]bool, text, next string) {
	if len(text) >= 3 {
		suspects[text[:3]] = true
		return
	}
	for i := 0; i < len(next); i++ {
		suspects[text+next[i:i+1]] = true
	}
}

// claims is what holds of a request whose peer is not a plain untrusted address: what a trusted proxy says of its client.
type claims struct {
	client      netip.Addr // not valid if the peer has no address
	named       bool       // false if the client is a trusted proxy only because nobody has named one behind it
	chain       []string   // from the client to the last proxy before the peer
	proto, host string     // "" if the peer said nothing of use
	port        []string
	prefix      []string
}

// claims must be called before the forwarding headers are touched.
func (f *forwarding) claims(r *http.Request) *claims {
	peer, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return &claims{}
	}
	if !f.trusted.contain(peer) {
		return &claims{client: peer, named: true}
	}
	h := r.Header
	client, named, chain := f.walk(peer, strings.Join(h["X-Forwarded-For"], ","))
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

// walk goes from the peer, which is trusted, to the left through X-Forwarded-For. Each trusted proxy vouches for the
// address before it; the first that is not trusted is the client, and what stands left of it is anyone's invention. So is
// what is no address: then the client is the proxy that passed it on, for want of a better name.
func (f *forwarding) walk(peer netip.Addr, forwardedFor string) (client netip.Addr, named bool, chain []string) {
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

// claimedProto turns the schemes of WebSockets into those of their handshakes: Immich knows http and https.
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

// forgeable are the headers that no client may send past us, and that are not overwritten.
var forgeable = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X_forwarded_for", "X_forwarded_host", "X_forwarded_proto", "X_real_ip",
}

// endsHere names the headers for the next proxy to drop (RFC 9110, section 7.6.1): instead of what the client names, which
// could be ours, the rarer spellings of a forwarding header with underscores. Upgrade is passed on only with an Upgrade
// header.
var endsHere = []string{"Upgrade, " +
	"X-Forwarded_for, X_forwarded-For, X-Forwarded_host, X_forwarded-Host, " +
	"X-Forwarded_proto, X_forwarded-Proto, X-Real_ip, X_real-Ip, " +
	"X_forwarded_port, X-Forwarded_port, X_forwarded-Port, X_forwarded_prefix, X-Forwarded_prefix, X_forwarded-Prefix"}

// rewrite sets the forwarding headers for a peer that is not a plain untrusted address.
func (f *forwarding) rewrite(r *http.Request) {
	said := f.claims(r)
	r.Header["Connection"] = endsHere
	for _, name := range forgeable {
		delete(r.Header, name)
	}
	(&httputil.ProxyRequest{In: r, Out: r}).SetXForwarded()
	said.tell(r.Header)
}

func (c *claims) tell(h http.Header) {
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

// unknownClient stands in the log for one without an address.
const unknownClient = "unknown"

// client returns the address of the request's client, before the forwarding headers are touched. It is not valid if there
// is none.
func (f *forwarding) client(r *http.Request) netip.Addr {
	return f.claims(r).client
}

// isOneOf tells whether the request's client is of the networks. A trusted proxy that names nobody is not: anybody may be
// behind it.
func (f *forwarding) isOneOf(n *networks, r *http.Request) bool {
	if len(n.lengths) == 0 {
		return false
	}
	said := f.claims(r)
	return said.named && n.contain(said.client)
}

// secure tells whether the client speaks HTTPS, as far as we can know.
func (f *forwarding) secure(r *http.Request) bool {
	if proto := f.claims(r).proto; proto != "" {
		return proto == "https"
	}
	return r.TLS != nil
}

func addressText(addr netip.Addr, ifNone string) string {
	if !addr.IsValid() {
		return ifNone
	}
	return addr.String()
}

// parseAddr reads an address as it stands in RemoteAddr or X-Forwarded-For, perhaps with port, brackets or zone. The zone,
// which has a meaning on this machine only, is dropped, and IPv4 in IPv6 becomes IPv4.
func parseAddr(text string) (netip.Addr, bool) {
	if both, err := netip.ParseAddrPort(text); err == nil {
		return plainAddr(both.Addr()), true
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	addr, err := netip.ParseAddr(text)
	return plainAddr(addr), err == nil
}

func plainAddr(addr netip.Addr) netip.Addr {
	return addr.WithZone("").Unmap()
}
