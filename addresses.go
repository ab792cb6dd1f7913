package immichaccess

import (
	"net/netip"
	"strings"
)

// networks is a set of addresses. A lookup costs one map access per prefix length in use, however many networks there are.
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

// networkNames are names for well-known networks.
var networkNames = map[string][]string{
	"loopback": {"127.0.0.0/8", "::1/128"},
	"private":  {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}, // RFC 1918, RFC 4193
}

func parseNetworks(option string, texts []string, errs *problems) *networks {
	n := &networks{prefixes: map[netip.Prefix]bool{}}
	for _, text := range texts {
		text = strings.TrimSpace(text)
		members, isName := networkNames[text]
		if !isName {
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

// parseAddr parses an address from RemoteAddr or X-Forwarded-For, with or without port, brackets or zone. The zone, which is
// local to this machine, is dropped, and IPv4 in IPv6 becomes IPv4.
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

func addressText(addr netip.Addr, ifNone string) string {
	if !addr.IsValid() {
		return ifNone
	}
	return addr.String()
}
