package app

import (
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const gatewayMessage = "requests come from the container's own gateway: the container engine hides the addresses of clients, so all of them " +
	"count as one client in access.maxWrongKeys, access.keylessNetworks and limits.connectionsPerClient. " +
	`Use the host's network (network_mode: host), or set "userland-proxy": false in /etc/docker/daemon.json; ` +
	"where clients have IPv6, the container's network needs it too (enable_ipv6: true)"

// warnOfContainerGateway logs, once, that requests come from the container's default gateway: Docker's userland proxy, or a
// rootless engine, accepts the connections of all clients. It runs behind the access-key handler, which sets X-Real-Ip to the
// client. Requests for localhost are made on the host, and have that address rightly.
func warnOfContainerGateway(root string, logger *slog.Logger, next http.Handler) http.Handler {
	gateway := containerGateway(root)
	if !gateway.IsValid() {
		return next
	}
	client := []string{gateway.String()}
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Equal(r.Header["X-Real-Ip"], client) && !isLocalHost(r.Host) {
			once.Do(func() { logger.Warn(gatewayMessage, "client", gateway) })
		}
		next.ServeHTTP(w, r)
	})
}

func isLocalHost(authority string) bool {
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = authority
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// containerGateway returns no valid address outside of a container: there, the gateway is a router, and may be a client.
func containerGateway(root string) netip.Addr {
	if !isContainer(root) {
		return netip.Addr{}
	}
	routes, err := os.ReadFile(filepath.Join(root, "proc/net/route"))
	if err != nil {
		return netip.Addr{}
	}
	return defaultGateway(string(routes))
}

// isContainer recognizes Docker and Podman by the files that they create, and others by the variable that systemd documents
// (https://systemd.io/CONTAINER_INTERFACE).
func isContainer(root string) bool {
	for _, file := range []string{".dockerenv", "run/.containerenv"} {
		if _, err := os.Stat(filepath.Join(root, file)); err == nil {
			return true
		}
	}
	return os.Getenv("container") != ""
}

// defaultGateway reads the kernel's table, where addresses are hexadecimal and in the order of the machine.
func defaultGateway(routes string) netip.Addr {
	for line := range strings.Lines(routes) {
		fields := strings.Fields(line) // Iface Destination Gateway Flags RefCnt Use Metric Mask …
		if len(fields) < 8 || fields[1] != "00000000" || fields[7] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(fields[2])
		if err != nil || len(raw) != net.IPv4len {
			continue
		}
		var address [net.IPv4len]byte
		binary.NativeEndian.PutUint32(address[:], binary.BigEndian.Uint32(raw))
		if gateway := netip.AddrFrom4(address); !gateway.IsUnspecified() {
			return gateway
		}
	}
	return netip.Addr{}
}
