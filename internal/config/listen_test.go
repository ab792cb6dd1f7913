package config

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess"
)

func TestListeners(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string // of the error
	}{
		"nothing":                       {[]string{"--listen.https="}, "listen.https: it is empty, and so is listen.plain"},
		"keyless alone":                 {[]string{"--listen.https=", "--listen.keyless=:8443"}, "listen.https: it is empty, and so is listen.plain"},
		"plain alone":                   {[]string{"--listen.https=", "--listen.plain=127.0.0.1:8080"}, ""},
		"plain on the port of http":     {[]string{"--listen.https=", "--listen.plain=:80"}, ""}, // which has nothing to do
		"all":                           {[]string{"--listen.plain=:8080", "--listen.keyless=192.0.2.1:8443"}, ""},
		"no address":                    {[]string{"--listen.plain=8080"}, `listen.plain: "8080" is not an address to listen on`},
		"no address of keyless":         {[]string{"--listen.keyless=x"}, `listen.keyless: "x" is not an address to listen on`},
		"keyless is https":              {[]string{"--listen.keyless=:443"}, `listen.keyless: ":443" is also the address of listen.https`},
		"keyless within https":          {[]string{"--listen.keyless=192.0.2.1:443"}, `listen.keyless: "192.0.2.1:443" is also the address of listen.https (":443")`},
		"https within keyless":          {[]string{"--listen.https=192.0.2.1:443", "--listen.keyless=0.0.0.0:443"}, "listen.keyless: "},
		"keyless is https, in IPv6":     {[]string{"--listen.https=127.0.0.1:443", "--listen.keyless=[::ffff:127.0.0.1]:0443"}, "listen.keyless: "},
		"https and keyless on two IPs":  {[]string{"--listen.https=192.0.2.1:443", "--listen.keyless=192.0.2.2:443"}, ""},
		"plain is http":                 {[]string{"--listen.plain=:80"}, "listen.plain: "},
		"admin is on loopback":          {[]string{"--listen.plain=192.0.2.1:9090", "--admin.address=:9090"}, ""},
		"admin is plain":                {[]string{"--listen.plain=:9090", "--admin.address=:9090"}, "admin.address: "},
		"free ports":                    {[]string{"--listen.https=:0", "--listen.keyless=:0"}, ""},
		"networks":                      {[]string{"--listen.proxyProtocol=192.0.2.0/24,loopback,2001:db8::1"}, ""},
		"no network":                    {[]string{"--listen.proxyProtocol=192.0.2.0/33"}, `listen.proxyProtocol: "192.0.2.0/33" is not a network`},
		"HSTS":                          {[]string{"--tls.hsts=8760h"}, ""},
		"HSTS of no duration":           {[]string{"--tls.hsts=year"}, `tls.hsts: "year" from --tls.hsts is invalid; it must be a duration`},
		"HSTS below zero":               {[]string{"--tls.hsts=-1s"}, "tls.hsts: -1s is not allowed"},
		"HSTS of a fraction of seconds": {[]string{"--tls.hsts=1500ms"}, "tls.hsts: 1.5s is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(append(c.args, withKey...), nil)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestAdminStaysOnLoopback(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"": "", ":9090": "127.0.0.1:9090", "0.0.0.0:9090": "0.0.0.0:9090", "[::]:9090": "[::]:9090",
	} {
		if got := (&Settings{Admin: Admin{Address: given}}).AdminAddress(); got != want {
			t.Errorf("%q listens on %q, want %q", given, got, want)
		}
	}
}

// TestNetworksAreThoseOfTheHandler compares the two parsers, by what each takes for a network and for a part of it.
func TestNetworksAreThoseOfTheHandler(t *testing.T) {
	t.Parallel()
	peers := []string{"127.0.0.1", "10.1.2.3", "192.168.1.2", "172.32.0.1", "192.0.2.1", "192.0.2.129", "::1", "fd00::1", "2001:db8::1", "2001:db8:0:1::1", "::ffff:192.0.2.1"}
	for _, network := range []string{
		"loopback", "private", "all", "", "192.0.2.1", "192.0.2.0/24", "192.0.2.77/25", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2", "0.0.0.0/0", "::/0",
		"2001:db8::/64", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "::ffff:192.0.2.0/80", " loopback ", "Loopback",
	} {
		networks, err := ParseNetworks([]string{network})
		access := immichaccess.CreateConfig()
		access.RequireKey, access.TrustedProxies = "false", []string{network}
		var believed string
		handler, handlerErr := immichaccess.New(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			believed = r.Header.Get("X-Real-Ip")
		}), access, "test")
		if (err == nil) != (handlerErr == nil) {
			t.Errorf("%q: %v, the handler says %v", network, err, handlerErr)
		}
		if err != nil || handlerErr != nil {
			continue
		}
		for _, peer := range peers {
			const client = "203.0.113.9"
			handler.ServeHTTP(nil, &http.Request{
				Method: http.MethodGet, RemoteAddr: netip.AddrPortFrom(netip.MustParseAddr(peer), 1).String(), Header: http.Header{"X-Forwarded-For": {client}},
			})
			if got, want := networks.Contain(netip.MustParseAddr(peer)), believed == client; got != want {
				t.Errorf("%q contains %s: %t, the handler says %t", network, peer, got, want)
			}
		}
	}
}
