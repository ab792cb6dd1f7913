package config

import (
	"net"
	"net/netip"
	"strconv"
)

// checkListen also refuses an address that is given twice: the system allows some such pairs, and requests could then reach the
// wrong listener, such as the one that needs no key.
func (s *Settings) checkListen(errs *problems) {
	if s.Listen.HTTPS == "" && s.Listen.Plain == "" {
		errs.add("listen.https", "it is empty, and so is listen.plain; give an address to one of them, such as :443")
	}
	addresses := []struct{ option, address string }{
		{"listen.https", s.Listen.HTTPS}, {"listen.http", s.HTTPAddress()}, {"listen.plain", s.Listen.Plain},
		{"listen.keyless", s.Listen.Keyless}, {"admin.address", s.AdminAddress()},
	}
	for i, a := range addresses {
		checkAddress(a.option, a.address, errs)
		for _, other := range addresses[:i] {
			if sharesSocket(a.address, other.address) {
				errs.add(a.option, "%q is also the address of %s (%q); give each listener a port or an IP address of its own", a.address, other.option, other.address)
			}
		}
	}
	for _, network := range s.Listen.ProxyProtocol {
		if _, err := ParseNetworks([]string{network}); err != nil {
			errs.add("listen.proxyProtocol", "%w", err)
		}
	}
}

// HTTPAddress is listen.http, unless there is nothing for it to do: without HTTPS, it has nowhere to redirect to, and no
// challenge to answer.
func (s *Settings) HTTPAddress() string {
	if s.Listen.HTTPS == "" && s.Listen.Keyless == "" {
		return ""
	}
	return s.Listen.HTTP
}

// AdminAddress is admin.address, on loopback unless the user names a host.
func (s *Settings) AdminAddress() string {
	host, port, err := net.SplitHostPort(s.Admin.Address)
	if err != nil || host != "" {
		return s.Admin.Address
	}
	return net.JoinHostPort("127.0.0.1", port)
}

func checkAddress(option, address string, errs *problems) {
	if address == "" {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if number, numeric := strconv.Atoi(port); err != nil || numeric != nil || number < 0 || number > 65535 {
		errs.add(option, "%q is not an address to listen on; allowed are :PORT and IP:PORT", address)
	}
}

// sharesSocket reports whether connections to one address could arrive at the other. Port 0 is a free one each time.
func sharesSocket(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	numberA, numericA := strconv.Atoi(portA)
	numberB, numericB := strconv.Atoi(portB)
	if errA != nil || errB != nil || numericA != nil || numericB != nil || numberA != numberB || numberA == 0 {
		return false
	}
	return isEveryAddress(hostA) || isEveryAddress(hostB) || canonicalHost(hostA) == canonicalHost(hostB)
}

func isEveryAddress(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().IsUnspecified()
}

func canonicalHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}
