package doctor

import (
	"net/netip"
	"syscall"
	"testing"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"203.0.113.7": true, "2001:db8::1": true, "192.168.1.2": false, "10.0.0.1": false, "100.64.0.1": false, "127.0.0.1": false,
		"::1": false, "fd00::1": false, "fe80::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestOwnNetworkIsNotBlamed keeps a machine without IPv6 from calling every deployment broken that has it.
func TestOwnNetworkIsNotBlamed(t *testing.T) {
	t.Parallel()
	address := netip.MustParseAddr("2001:db8::1")
	if f := partlyReachable(address, syscall.ENETUNREACH); f.Level != Skipped {
		t.Errorf("%+v", f)
	}
	if f := partlyReachable(address, syscall.ECONNREFUSED); f.Level != Warning || f.ID != "address-partly" {
		t.Errorf("%+v", f)
	}
}

func TestAltSvc(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`h3=":443"; ma=2592000`:        "443",
		`h2=":443", h3=":8443"; ma=60`: "8443",
		`h3="photos.example.com:444"`:  "444",
		`h3-29=":443"; ma=60`:          "",
		"clear":                        "",
		"":                             "",
	} {
		announced, port := announcedQUIC(text, "4000")
		if announced != (want != "") || announced && port != want || !announced && port != "4000" {
			t.Errorf("%s: %v, %s", text, announced, port)
		}
	}
}
