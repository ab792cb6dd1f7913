package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Networks is a set of addresses, written as in access.trustedProxies.
type Networks []netip.Prefix

// networkNames are names for well-known networks.
var networkNames = map[string][]string{
	"loopback": {"127.0.0.0/8", "::1/128"},
	"private":  {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}, // RFC 1918, RFC 4193
}

// ParseNetworks accepts what the handler accepts, whose own parser is not exported, to keep the plugin's API small; a test compares
// the two. The error lists each text that is invalid.
func ParseNetworks(texts []string) (Networks, error) {
	var networks Networks
	var errs []error
	for _, text := range texts {
		text = strings.TrimSpace(text)
		members, isName := networkNames[text]
		if !isName {
			members = []string{text}
		}
		for _, member := range members {
			prefix, ok := parseNetwork(member)
			if !ok {
				errs = append(errs, fmt.Errorf("%q is not a network; allowed are addresses (192.0.2.1, 2001:db8::1), CIDRs (192.0.2.0/24), loopback and private", text))
				continue
			}
			networks = append(networks, prefix)
		}
	}
	return networks, errors.Join(errs...)
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
		const mapped = 96 // bits in front of the IPv4 address
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
	}
	return prefix.Masked(), prefix.IsValid()
}

// Contain reports whether the address is in one of the networks. Its zone is ignored, and IPv4 in IPv6 counts as IPv4.
func (n Networks) Contain(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, prefix := range n {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
