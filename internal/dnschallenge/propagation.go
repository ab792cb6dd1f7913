package dnschallenge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-acme/lego/v4/challenge/dns01"
)

// lookTime is how long one nameserver may take to answer.
const lookTime = 5 * time.Second

// shows returns nil if the record can be seen where the CA will look: at all authoritative nameservers of the zone. In networks
// that block queries to those, the system's resolver has to do; it may cache for a while that the record does not exist.
func shows(ctx context.Context, fqdn, value string) error {
	zone, err := dns01.FindZoneByFqdn(fqdn)
	if err != nil {
		return fmt.Errorf("the zone is not to be found: %w", err)
	}
	nameservers, err := net.DefaultResolver.LookupNS(ctx, zone)
	if err != nil {
		return fmt.Errorf("the zone's nameservers are not to be found: %w", err)
	}
	var missing, unreachable []string
	for _, nameserver := range nameservers {
		records, err := askNameserver(ctx, nameserver.Host, fqdn)
		switch {
		case err != nil:
			unreachable = append(unreachable, nameserver.Host)
		case !slices.Contains(records, value):
			missing = append(missing, nameserver.Host)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("not on %s yet", names(missing))
	case len(unreachable) == len(nameservers):
		return atResolver(ctx, fqdn, value)
	case len(unreachable) > 0:
		return fmt.Errorf("%s does not answer", names(unreachable))
	}
	return nil
}

// askNameserver returns the TXT records that a nameserver has of a name.
func askNameserver(ctx context.Context, nameserver, fqdn string) ([]string, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, nameserver)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, address := range addresses { // of which this machine may reach only some, such as the IPv4 ones
		records, err := askAddress(ctx, address, fqdn)
		if err == nil {
			return records, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

func askAddress(ctx context.Context, address, fqdn string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(address, "53"))
	}}
	records, err := resolver.LookupTXT(ctx, fqdn)
	if isNotFound(err) {
		return nil, nil
	}
	return records, err
}

func atResolver(ctx context.Context, fqdn, value string) error {
	records, err := net.DefaultResolver.LookupTXT(ctx, fqdn)
	switch {
	case err != nil && !isNotFound(err):
		return fmt.Errorf("neither the zone's nameservers nor the system's resolver can be asked: %w", err)
	case !slices.Contains(records, value):
		return errors.New("not on the system's resolver yet, and the zone's nameservers can't be asked")
	}
	return nil
}

func isNotFound(err error) bool {
	failure, is := errors.AsType[*net.DNSError](err)
	return is && failure.IsNotFound
}

func names(nameservers []string) string {
	slices.Sort(nameservers)
	return strings.TrimSuffix(strings.Join(nameservers, ", "), ".")
}
