package setup

import (
	"net"
	"net/netip"
)

// homeNetworks returns the private networks of the interface that leads to the Internet, and so none of Docker's bridges.
func homeNetworks() []string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	own := addressToInternet()
	for _, i := range interfaces {
		prefixes := prefixesOf(i)
		for _, prefix := range prefixes {
			if prefix.Addr() == own {
				return privateOnes(prefixes)
			}
		}
	}
	return nil
}

// addressToInternet is the source address of a packet to a public address. To connect a UDP socket sends none.
func addressToInternet() netip.Addr {
	conn, err := net.Dial("udp4", "192.0.2.1:9") // reserved for documentation: RFC 5737
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	own, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return own.Addr()
}

func prefixesOf(i net.Interface) []netip.Prefix {
	addresses, err := i.Addrs()
	if err != nil {
		return nil
	}
	var prefixes []netip.Prefix
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

func privateOnes(prefixes []netip.Prefix) []string {
	var networks []string
	for _, prefix := range prefixes {
		if prefix.Addr().IsPrivate() {
			networks = append(networks, prefix.Masked().String())
		}
	}
	return networks
}
