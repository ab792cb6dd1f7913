package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

const areaName = "Name"

// connectWithin is long enough for a phone on a bad network.
const connectWithin = 8 * time.Second

// checkName resolves the name, and tries each address.
func (e *examination) checkName(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.target.host)
	if err != nil {
		e.failedStep = true
		e.add(Finding{
			ID: "name-unknown", Level: Problem, Area: areaName,
			Title:  fmt.Sprintf("%s has no address", e.target.host),
			Seen:   inWords(err),
			Breaks: "Nothing can find Immich under this name.",
		})
		return
	}

	failures := e.connect(ctx, found)
	if len(e.addresses) == 0 {
		e.failedStep = true
		e.add(unreachable(e.target, found, failures))
		return
	}
	e.passed("address", areaName, strings.Join(e.addresses, ", "))
	for address, err := range failures {
		e.add(partlyReachable(address, err))
	}
	e.notePrivate(found)
}

// connect fills in the addresses that answer, and returns why the others do not.
func (e *examination) connect(ctx context.Context, found []netip.Addr) map[netip.Addr]error {
	failures := map[netip.Addr]error{}
	seen := map[netip.Addr]bool{}
	for _, address := range found {
		address = address.Unmap()
		if seen[address] {
			continue
		}
		seen[address] = true
		dialer := &net.Dialer{Timeout: connectWithin}
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address.String(), e.target.port))
		if err != nil {
			failures[address] = err
			continue
		}
		_ = conn.Close()
		e.addresses = append(e.addresses, address.String())
	}
	return failures
}

func unreachable(t target, found []netip.Addr, failures map[netip.Addr]error) Finding {
	f := Finding{ID: "address-unreachable", Level: Problem, Area: areaName, Title: "Nothing answers on port " + t.port}
	var seen []string
	for _, address := range found {
		if err := failures[address.Unmap()]; err != nil {
			seen = append(seen, fmt.Sprintf("%s: %s", address.Unmap(), inWords(err)))
		}
	}
	f.Seen = strings.Join(seen, "; ")
	f.Breaks = "Nothing can reach Immich from here. At home, a router without hairpin NAT (NAT loopback) looks the same."
	return f
}

// partlyReachable does not blame the deployment if this machine has no IPv4 or no IPv6.
func partlyReachable(address netip.Addr, err error) Finding {
	if lacksRoute(err) {
		return Finding{ID: "address-untested", Level: Skipped, Area: areaName, Seen: fmt.Sprintf("%s: no route to it from this machine", address)}
	}
	return Finding{
		ID: "address-partly", Level: Warning, Area: areaName,
		Title:  fmt.Sprintf("%s does not answer, though the name resolves to it", address),
		Seen:   inWords(err),
		Breaks: "Phones that try this address first are slow to connect, or say that the server is offline.",
	}
}

func (e *examination) notePrivate(found []netip.Addr) {
	for _, address := range found {
		if isPublic(address.Unmap()) {
			return
		}
	}
	e.add(Finding{
		ID: "address-private", Level: Note, Area: areaName,
		Title:  "The address is a private one",
		Seen:   strings.Join(e.addresses, ", "),
		Breaks: "It can be reached at home and over a VPN only, which may be what you want.",
	})
}

var sharedByCarriers = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598; Tailscale as well

func isPublic(address netip.Addr) bool {
	return address.IsGlobalUnicast() && !address.IsPrivate() && !sharedByCarriers.Contains(address)
}
