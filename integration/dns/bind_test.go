package dns

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Nameservers. The primary is also what the system asks, so that it follows CNAME records.
const (
	primary   = "127.0.0.1"
	secondary = "127.0.0.2"
)

// Addresses that names lead to.
const (
	nobody    = "127.0.0.30" // nothing listens there
	mute      = "127.0.0.31" // takes connections and says nothing
	elsewhere = "127.0.0.32" // another web server
	duckDNS   = "127.0.0.33"
)

const (
	keyName = "proxy"
	// keySecret lets the proxy change its zones.
	keySecret = "cHJveHktbWF5LWNoYW5nZS10aGUtem9uZS1vZi1pdHM="
)

// zone is one of the primary's.
type zone struct {
	name string
	// second is how the secondary has it: not at all, "secondary", a copy that notify brings up to date, or "primary", one that never changes.
	second  string
	records string
}

var zones = []zone{
	{name: "example.com", records: "photos A " + nobody + "\nmute A " + mute + "\nelsewhere A " + elsewhere + "\n_acme-challenge.alias CNAME alias.delegated.test."},
	{name: "delegated.test"},
	{name: "route53.test", records: "_acme-challenge TXT \"of-another-program\""},
	{name: "delayed.test", second: "secondary"},
	{name: "stale.test", second: "primary"},
	{name: "duckdns.org", records: "www A " + duckDNS},
}

func (z zone) text() string {
	text := fmt.Sprintf("$ORIGIN %s.\n$TTL 5\n@ SOA ns1 admin 1 3600 1 3600 5\n@ NS ns1\nns1 A %s\n", z.name, primary)
	if z.second != "" {
		text += "@ NS ns2\nns2 A " + secondary + "\n"
	}
	return text + z.records + "\n"
}

const serverOptions = `
options { directory %q; listen-on { %s; }; listen-on-v6 { none; }; recursion yes; notify no; allow-transfer { any; };
	pid-file "named.pid"; session-keyfile "session.key"; dnssec-validation no; };
controls { };
key %q { algorithm hmac-sha256; secret %q; };
`

func startNameservers(folder string) error {
	var one, two strings.Builder
	one.WriteString(`zone "broken.test" { type primary; file "missing"; };` + "\n") // SERVFAIL
	for _, z := range zones {
		fmt.Fprintf(&one, "zone %q { type primary; file %q; allow-update { key %q; }; };\n", z.name, z.name, keyName)
		switch z.second {
		case "secondary":
			fmt.Fprintf(&two, "zone %q { type secondary; file %q; primaries { %s; }; };\n", z.name, z.name, primary)
		case "primary":
			fmt.Fprintf(&two, "zone %q { type primary; file %q; };\n", z.name, z.name)
		}
	}
	if err := startNameserver(filepath.Join(folder, primary), primary, one.String()); err != nil {
		return err
	}
	// The secondary has its zones from the primary, and asks again only after a minute if that does not run yet.
	return startNameserver(filepath.Join(folder, secondary), secondary, two.String())
}

func startNameserver(folder, address, config string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, z := range zones {
		if address == secondary && z.second == "secondary" {
			continue // it is transferred
		}
		if err := os.WriteFile(filepath.Join(folder, z.name), []byte(z.text()), 0o644); err != nil {
			return err
		}
	}
	file := filepath.Join(folder, "named.conf")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(serverOptions, folder, address, keyName, keySecret)+config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return err
	}
	named := exec.CommandContext(context.Background(), "named", "-g", "-n", "1", "-c", file)
	named.Stdout, named.Stderr = log, log
	named.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := named.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if answers(address) {
			return nil
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("named does not answer:\n%s", text)
		}
	}
}

// answers is true of a nameserver that has all its zones.
func answers(address string) bool {
	for _, z := range zones {
		if address == secondary && z.second == "" {
			continue
		}
		if _, err := at(address).LookupNS(context.Background(), z.name+"."); err != nil {
			return false
		}
	}
	return true
}

// at asks one nameserver.
func at(address string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(address, "53"))
	}}
}

// notify tells the secondary, as a primary would, to look for changes of a zone.
func notify(t *testing.T, zone string) {
	t.Helper()
	name, err := dnsmessage.NewName(zone + ".")
	if err != nil {
		t.Fatal(err)
	}
	const opcodeNotify = 4 // RFC 1996
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{OpCode: opcodeNotify, Authoritative: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET}},
	}
	packet, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", net.JoinHostPort(secondary, "53"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
}
