package immichaccess

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// notAddresses are texts that no peer has as its address.
var notAddresses = []string{
	"", "@", " ", ":", ":80", "[", "]", "[]", "[]:80", "[:80", "unknown", "_hidden", "/run/immich.sock", "proxy.example.com:80",
	"192.0.2.256", "192.0.2", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:http", "192.0.2.1:80:80", "192.0.2.1/32", "192.0.2.1%eth0", "192.0.2.01",
	"[192.0.2.1]:80", "2001:db8::1::2", "2001:db8::1]", "[2001:db8::1", "[2001:db8::1]80", "[2001:db8::1]]", "[2001:db8::1]:80:80", "12345::1", "fe80::1%",
	"for=192.0.2.1", `"192.0.2.1"`, "192.0.2.1\n", "192.0.2.1 10.0.0.1", "\x00\xff",
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.1":                    "192.0.2.1",
		"192.0.2.1:80":                 "192.0.2.1",
		"0.0.0.0:0":                    "0.0.0.0",
		"[192.0.2.1]":                  "192.0.2.1",
		"2001:db8::1":                  "2001:db8::1",
		"2001:DB8:0:0::0001":           "2001:db8::1",
		"[2001:db8::1]":                "2001:db8::1",
		"[2001:db8::1]:443":            "2001:db8::1",
		"::":                           "::",
		"[::1]:65535":                  "::1",
		"fe80::1%eth0":                 "fe80::1",
		"[fe80::1%eth0]":               "fe80::1",
		"[fe80::1%25eth0]:80":          "fe80::1",
		"::ffff:192.0.2.1":             "192.0.2.1",
		"::ffff:c000:201":              "192.0.2.1",
		"[::ffff:192.0.2.1]:80":        "192.0.2.1",
		"[::ffff:192.0.2.1%eth0]:80":   "192.0.2.1",
		"0:0:0:0:0:FFFF:192.0.2.1":     "192.0.2.1",
		"64:ff9b::192.0.2.1":           "64:ff9b::c000:201",
		"2001:db8::1:80":               "2001:db8::1:80", // a port needs brackets
		"ff02::1":                      "ff02::1",
		"ffff:ffff:ffff:ffff:0:0:0:1":  "ffff:ffff:ffff:ffff::1",
		"[fe80::%a]:1":                 "fe80::",
		"255.255.255.255:65535":        "255.255.255.255",
		"[1:2:3:4:5:6:255.255.0.1]:80": "1:2:3:4:5:6:ffff:1",
	} {
		if addr, ok := parseAddr(text); !ok || addr.String() != want {
			t.Errorf("%q is read as %v, %v, want %s", text, addr, ok, want)
		}
	}
	for _, text := range notAddresses {
		if addr, ok := parseAddr(text); ok {
			t.Errorf("%q is read as %v", text, addr)
		}
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct{ in, out []string }{
		"192.0.2.1":               {[]string{"192.0.2.1"}, []string{"192.0.2.0", "192.0.2.2", "::c000:201"}},
		"192.0.2.0/24":            {[]string{"192.0.2.0", "192.0.2.255"}, []string{"192.0.1.255", "192.0.3.0"}},
		"192.0.2.77/24":           {[]string{"192.0.2.0", "192.0.2.255"}, []string{"192.0.3.0"}},
		"0.0.0.0/0":               {[]string{"0.0.0.0", "255.255.255.255"}, []string{"::", "::1", "2001:db8::1"}},
		"::/0":                    {[]string{"::", "2001:db8::1"}, []string{"0.0.0.0", "192.0.2.1"}},
		"::ffff:192.0.2.1":        {[]string{"192.0.2.1"}, []string{"192.0.2.2", "::1"}},
		"::ffff:192.0.2.0/120":    {[]string{"192.0.2.0", "192.0.2.255"}, []string{"192.0.3.0"}},
		"::ffff:0:0/96":           {[]string{"0.0.0.0", "255.255.255.255"}, []string{"::1"}},
		"::ffff:192.0.2.1/128":    {[]string{"192.0.2.1"}, []string{"192.0.2.0"}},
		"2001:db8::1":             {[]string{"2001:db8::1"}, []string{"2001:db8::", "2001:db8::2"}},
		"2001:DB8:1::/48":         {[]string{"2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff"}, []string{"2001:db8:2::", "2001:db8::1"}},
		"2001:db8:1:2:3:4:5:6/33": {[]string{"2001:db8::", "2001:db8:7fff::1"}, []string{"2001:db8:8000::"}},
		"loopback":                {[]string{"127.0.0.1", "127.255.255.255", "::1"}, []string{"126.255.255.255", "128.0.0.0", "::", "::2", "10.0.0.1"}},
		"private": {
			[]string{"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "fc00::1", "fdff::1"},
			[]string{"9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "fe00::", "fbff::", "127.0.0.1", "169.254.0.1", "100.64.0.1"},
		},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			var errs problems
			n := parseNetworks("trustedProxies", []string{" 203.0.113.7\t", text}, &errs)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			for _, addr := range append(c.in, "203.0.113.7") {
				if !n.contain(netip.MustParseAddr(addr)) {
					t.Errorf("%s is not in it", addr)
				}
			}
			for _, addr := range c.out {
				if n.contain(netip.MustParseAddr(addr)) {
					t.Errorf("%s is in it", addr)
				}
			}
		})
	}
}

// claimsConfig trusts peers of each kind.
var claimsConfig = &Config{TrustedProxies: []string{"10.0.0.0/8", "2001:db8:1::/48", "::ffff:192.168.0.0/112", "fe80::/10", "::1"}}

func trusting(t testing.TB, proxies ...string) *networks {
	t.Helper()
	var errs problems
	n := parseNetworks("trustedProxies", proxies, &errs)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return n
}

func newTestForwarding(t testing.TB) *forwarding {
	t.Helper()
	return newForwarding(trusting(t, claimsConfig.TrustedProxies...), trusting(t))
}

func TestClaims(t *testing.T) {
	t.Parallel()
	f := newTestForwarding(t)
	type testCase struct {
		peer  string
		xff   []string
		chain string // joined by blanks; the client is its first, or the peer
	}
	const client, proxy = "203.0.113.9", "10.0.0.1:80"
	cases := []testCase{
		// Claims of a peer that is not trusted are ignored.
		{"192.0.2.1:80", []string{client}, ""},
		{"11.0.0.1:80", []string{client}, ""},
		{"[2001:db8:2::1]:80", []string{client}, ""},
		{"[::2]:80", []string{client}, ""},
		{"[::a00:1]:80", []string{client}, ""}, // not IPv4 in IPv6
		{"[2001:db8:2::1]:80", []string{"10.0.0.1", "2001:db8:1::1"}, ""},

		// A trusted peer, in each notation.
		{proxy, []string{client}, client},
		{"10.255.255.255:80", []string{client}, client},
		{"10.0.0.1", []string{client}, client},
		{"[::ffff:10.0.0.1]:80", []string{client}, client},
		{"192.168.255.255:80", []string{client}, client},
		{"[2001:db8:1::1]:80", []string{client}, client},
		{"[fe80::1%eth0]:80", []string{client}, client},
		{"[::1]:80", []string{client}, client},

		// Trusted addresses in X-Forwarded-For, from right to left.
		{proxy, nil, ""},
		{proxy, []string{""}, ""},
		{proxy, []string{"6.6.6.6, " + client}, client},
		{proxy, []string{"6.6.6.6", client}, client},
		{proxy, []string{"6.6.6.6", client, "10.0.0.2", "10.0.0.3,10.0.0.4"}, client + " 10.0.0.2 10.0.0.3 10.0.0.4"},
		{proxy, []string{"10.0.0.9, 6.6.6.6, " + client + ", 10.0.0.2"}, client + " 10.0.0.2"},
		{proxy, []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3 10.0.0.2"},
		{proxy, []string{"10.0.0.1"}, "10.0.0.1"},
		{proxy, []string{" \t203.0.113.9\t "}, client},
		{proxy, []string{"203.0.113.9:5000"}, client},
		{proxy, []string{"::ffff:203.0.113.9,::ffff:10.0.0.2"}, client + " 10.0.0.2"},
		{proxy, []string{"[2001:DB8:2::1]:443, [2001:db8:1::7]"}, "2001:db8:2::1 2001:db8:1::7"},
		{proxy, []string{"6.6.6.6, fe80::1%eth0, 10.0.0.2"}, "6.6.6.6 fe80::1 10.0.0.2"},

		// A value that is not an address ends the search.
		{proxy, []string{"6.6.6.6, unknown"}, ""},
		{proxy, []string{"6.6.6.6, unknown, 10.0.0.2"}, "10.0.0.2"},
		{proxy, []string{"6.6.6.6,"}, ""},
		{proxy, []string{"6.6.6.6", ""}, ""},
		{proxy, []string{"6.6.6.6, , 10.0.0.2"}, "10.0.0.2"},
		{proxy, []string{",10.0.0.2"}, "10.0.0.2"},
		{proxy, []string{","}, ""},
		{proxy, []string{"6.6.6.6 " + client}, ""},
		{proxy, []string{"for=6.6.6.6"}, ""},
		{proxy, []string{"10.0.0.0/8"}, ""},
	}
	for _, text := range notAddresses {
		if !strings.ContainsAny(text, "\n ") {
			cases = append(cases, testCase{proxy, []string{"6.6.6.6, " + text + " , 10.0.0.2"}, "10.0.0.2"})
		}
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.peer, c.xff), func(t *testing.T) {
			t.Parallel()
			r := newRequest(http.Header{"X-Forwarded-For": c.xff})
			r.RemoteAddr = c.peer
			peer, _ := parseAddr(c.peer)
			want, client := strings.Fields(c.chain), peer.String()
			if len(want) > 0 {
				client = want[0]
			}
			got := f.sourceOfRequest(r)
			if got.client.String() != client || !slices.Equal(got.chain, want) {
				t.Errorf("client %q, chain %q, want %q, %q", got.client, got.chain, client, want)
			}
		})
	}
}

// A peer without an address, as on a Unix socket, needs a key, and its forwarding headers are ignored.
func TestPeerWithoutAddress(t *testing.T) {
	t.Parallel()
	for _, peer := range []string{"", "@", "@immich", "/run/immich.sock", "pipe"} {
		t.Run(peer, func(t *testing.T) {
			t.Parallel()
			next := &recorder{}
			config := &Config{Keys: []string{rightKey}, TrustedProxies: claimsConfig.TrustedProxies}
			r := newRequest(http.Header{"X-Access-Key": {rightKey}, "X-Forwarded-For": {"6.6.6.6"}, "X-Real-Ip": {"6.6.6.6"}})
			r.RemoteAddr = peer
			if got := ask(newTestHandler(t, config, next), r).Code; got != http.StatusOK {
				t.Fatalf("status %d", got)
			}
			for name, values := range next.r.Header {
				if slices.Contains(values, "6.6.6.6") {
					t.Errorf("%s arrives as %q", name, values)
				}
			}
		})
	}
}

func TestClaimedScheme(t *testing.T) {
	t.Parallel()
	for want, texts := range map[string][]string{
		"https": {"https", "HTTPS", "wss", " Wss "},
		"http":  {"http", "ws", "WS", "\thttp"},
		"":      {"", "gopher", "https,http", "https://", "htt ps"},
	} {
		for _, text := range texts {
			if got := strings.Join(claimedProto([]string{text}), ","); got != want {
				t.Errorf("%q claims %q, want %q", text, got, want)
			}
		}
	}
	if got := claimedProto([]string{"https", "http"}); got != nil {
		t.Errorf("two schemes claim %q", got)
	}
}

// Forwarding headers as next gets them from a peer that is trusted, and from one that is not.
func TestForwardingHeaders(t *testing.T) {
	t.Parallel()
	sent := http.Header{
		"X-Forwarded-For": {"6.6.6.6, 203.0.113.9, 10.0.0.2"}, "X-Real-Ip": {"6.6.6.6"}, "X-Forwarded-Proto": {"wss"},
		"X-Forwarded-Host": {"photos.example.org"}, "X-Forwarded-Port": {"8443"}, "X-Forwarded-Prefix": {"/photos"},
		"Forwarded": {"for=6.6.6.6"}, "X_forwarded_for": {"6.6.6.6"}, "X_real_ip": {"6.6.6.6"},
	}
	for peer, want := range map[string]http.Header{
		"10.0.0.1:80": {
			"X-Forwarded-For": {"203.0.113.9, 10.0.0.2"}, "X-Real-Ip": {"203.0.113.9"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Host": {"photos.example.org"}, "X-Forwarded-Port": {"8443"}, "X-Forwarded-Prefix": {"/photos"},
		},
		"192.0.2.1:80": {
			"X-Real-Ip": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"photos.example.com"},
		},
		"[::2]:80": { // not trusted, though its beginning may be
			"X-Real-Ip": {"::2"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"photos.example.com"},
		},
		"[fe80::1%eth0]:80": {
			"X-Real-Ip": {"fe80::1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"photos.example.com"},
		},
		"[::ffff:192.0.2.1]:80": {
			"X-Real-Ip": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"photos.example.com"},
		},
	} {
		t.Run(peer, func(t *testing.T) {
			t.Parallel()
			next := &recorder{}
			r := newRequest(sent)
			r.RemoteAddr = peer
			ask(newTestHandler(t, &Config{RequireKey: "false", TrustedProxies: []string{"10.0.0.0/8"}}, next), r)
			got := next.r.Header
			dropHopByHop(got)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("headers %v, want %v", got, want)
			}
		})
	}
}

// Where a trusted proxy says nothing, or nothing valid, the connection decides; a peer without an address has no X-Real-Ip.
func TestForwardingHeadersWithoutClaims(t *testing.T) {
	t.Parallel()
	invalid := http.Header{"X-Forwarded-For": {"nobody"}, "X-Real-Ip": {"6.6.6.6"}, "X-Forwarded-Proto": {"gopher"}, "X-Forwarded-Host": {"a, b"}}
	for name, sent := range map[string]http.Header{"nothing": {}, "nothing valid": invalid} {
		for proto, secure := range map[string]*tls.ConnectionState{"http": nil, "https": {}} {
			for peer, realIP := range map[string][]string{"10.0.0.1:80": {"10.0.0.1"}, "@": nil} {
				t.Run(fmt.Sprint(name, proto, peer), func(t *testing.T) {
					t.Parallel()
					want := http.Header{"X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {"photos.example.com"}}
					if realIP != nil {
						want["X-Real-Ip"] = realIP
					}
					next := &recorder{}
					r := newRequest(sent)
					r.RemoteAddr, r.TLS = peer, secure
					ask(newTestHandler(t, &Config{RequireKey: "false", TrustedProxies: []string{"10.0.0.0/8"}}, next), r)
					got := next.r.Header
					dropHopByHop(got)
					if !reflect.DeepEqual(got, want) {
						t.Errorf("headers %v, want %v", got, want)
					}
				})
			}
		}
	}
}

// dropHopByHop does what every proxy does, and next has to do.
func dropHopByHop(h http.Header) {
	for _, name := range strings.Split(h.Get("Connection"), ", ") {
		h.Del(name)
	}
	h.Del("Connection")
}

// Several hosts, or an invalid one, are ignored even from a trusted peer.
func TestClaimedHost(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]string{"": {"a", "b"}, "a:1": {"a:1"}} {
		if got := claimedHost(values); got != want {
			t.Errorf("%q claim %q, want %q", values, got, want)
		}
	}
	for _, value := range []string{"a, b", "a,b", "a b"} {
		if got := claimedHost([]string{value}); got != "" {
			t.Errorf("%q claims %q", value, got)
		}
	}
}

// Whatever an untrusted client sends, it gets the same headers from both branches: the one for peers that can't be trusted, and
// the one that resolves the address.
func TestResolvingSetsTheSameHeaders(t *testing.T) {
	t.Parallel()
	forged := http.Header{}
	for _, family := range []string{"Forwarded-For", "Forwarded-Proto", "Forwarded-Host", "Forwarded-Port", "Forwarded-Prefix", "Forwarded-Server", "Real-IP"} {
		for _, spelling := range []string{"X-" + family, "X_" + family, strings.ReplaceAll("X-"+family, "-", "_"), "X-" + strings.ReplaceAll(family, "-", "_")} {
			forged.Add(spelling, "6.6.6.6")
		}
	}
	forged.Add("Forwarded", "for=6.6.6.6")
	headers := map[string]http.Header{
		"none":       {},
		"usual":      {"User-Agent": {"Immich_Android"}, "Accept": {"*/*"}, "Cookie": {"a=b"}, "Range": {"bytes=0-9"}},
		"forged":     forged,
		"empty":      {"X-Forwarded-For": {""}, "X-Real-Ip": {""}, "X-Forwarded-Proto": {""}, "Forwarded": {}},
		"twice":      {"X-Forwarded-For": {"6.6.6.6", "7.7.7.7"}, "X-Real-Ip": {"6.6.6.6", "7.7.7.7"}, "X-Forwarded-Host": {"a", "b"}},
		"websocket":  {"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}},
		"connection": {"Connection": {"X-Real-Ip", "X-Forwarded-Host, close"}},
	}
	for _, forwardKey := range []bool{false, true} {
		for _, peer := range []string{"192.0.2.1:1234", "8.8.8.8:1", "255.255.255.255:65535", "[2001:db8::1]:80", "[1::]:80", "[ffff::1]:443"} {
			for _, length := range []int64{0, 5, -1} {
				for name, header := range headers {
					for _, secure := range []*tls.ConnectionState{nil, {}} {
						request := func() *http.Request {
							r := newRequest(header)
							r.RemoteAddr, r.ContentLength, r.TLS = peer, length, secure
							r.Header.Set("X-Access-Key", rightKey)
							return r
						}
						config := &Config{Keys: []string{rightKey}, ForwardKey: forwardKey, TrustedProxies: []string{"10.0.0.0/8"}}
						t.Run(fmt.Sprint(forwardKey, peer, length, name, secure != nil), func(t *testing.T) {
							t.Parallel()
							short, long := arrival(t, config, request(), false), arrival(t, config, request(), true)
							if !reflect.DeepEqual(short, long) {
								t.Errorf("without a closer look: %v, with it: %v", short, long)
							}
						})
					}
				}
			}
		}
	}
}

// arrival returns the headers that reach next.
func arrival(t *testing.T, config *Config, r *http.Request, mayBeTrusted bool) http.Header {
	t.Helper()
	next := &recorder{}
	s, err := parse(config, "test")
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(next, s, newDenialLog("test", false))
	if g.forwarding.mayBeTrusted[r.RemoteAddr[:3]] {
		t.Fatalf("%s may be trusted", r.RemoteAddr)
	}
	if mayBeTrusted {
		g.forwarding.mayBeTrusted[r.RemoteAddr[:3]], g.forwarding.leastTrusted = true, ""
	}
	ask(g.handler(), r)
	return next.r.Header
}

// mayBeTrusted rules out no peer that is trusted.
func TestMayBeTrustedIncludesAllTrusted(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		prefix := randomPrefix(random)
		f := newForwarding(trusting(t, prefix.String()), trusting(t))
		for range 20 {
			addr := within(random, prefix)
			for _, peer := range []string{addr.String(), netip.AddrFrom16(addr.As16()).String(), netip.AddrFrom16(addr.As16()).Unmap().String()} {
				text := net.JoinHostPort(peer, "1234")
				if known, ok := parseAddr(text); !ok || !f.trusted.contain(known) {
					t.Fatalf("%s is not trusted though it is in %s", text, prefix)
				}
				if !f.mayBeTrusted[text[:3]] || text < f.leastTrusted {
					t.Fatalf("%s is in %s and is ruled out", text, prefix)
				}
			}
		}
	}
}

func randomPrefix(random *rand.Rand) netip.Prefix {
	var addr netip.Addr
	if random.IntN(2) == 0 {
		addr = netip.AddrFrom4([4]byte{randomByte(random), randomByte(random), randomByte(random), randomByte(random)})
	} else {
		addr = randomIPv6(random)
	}
	bits := random.IntN(addr.BitLen() + 1)
	if random.IntN(2) == 0 {
		bits = random.IntN(20) // so short that one has many beginnings
	}
	prefix, err := addr.Unmap().Prefix(min(bits, addr.Unmap().BitLen()))
	if err != nil {
		panic(err)
	}
	return prefix
}

// randomByte prefers the ends, where numbers have few digits.
func randomByte(random *rand.Rand) byte {
	return byte(random.IntN(256) >> random.IntN(9))
}

// randomIPv6 prefers zeros and short groups.
func randomIPv6(random *rand.Rand) netip.Addr {
	var bytes [16]byte
	for i := 0; i < len(bytes); i += 2 {
		binary.BigEndian.PutUint16(bytes[i:], uint16(random.IntN(1<<16)>>random.IntN(17)))
	}
	return netip.AddrFrom16(bytes)
}

// within returns an address in the prefix; not IPv4 in IPv6, which is none of an IPv6 prefix.
func within(random *rand.Rand, prefix netip.Prefix) netip.Addr {
	for {
		bytes, filling := prefix.Addr().AsSlice(), randomIPv6(random).AsSlice()
		for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
			bytes[bit/8] |= filling[bit/8] & (0x80 >> (bit % 8))
		}
		if addr, _ := netip.AddrFromSlice(bytes); !addr.Is4In6() {
			return addr
		}
	}
}

// The client is the peer, or it is in X-Forwarded-For with only trusted proxies between it and the peer.
func FuzzClientAddress(f *testing.F) {
	for _, peer := range append([]string{"10.0.0.1:80", "192.0.2.1:80", "[2001:db8:1::1]:443", "[fe80::1%eth0]:80", "[::ffff:10.0.0.1]:80"}, notAddresses...) {
		f.Add(peer, "6.6.6.6, 203.0.113.9", "10.0.0.2")
	}
	for _, xff := range append([]string{"10.0.0.2,10.0.0.3", "[2001:db8::1]:443, 2001:db8:1::2", "fe80::1%eth0", "::ffff:6.6.6.6,::ffff:10.0.0.1"}, notAddresses...) {
		f.Add("10.0.0.1:80", xff, "10.0.0.2 , 10.0.0.3")
		f.Add("10.0.0.1:80", "6.6.6.6", xff)
	}
	handler := newTestForwarding(f)
	var trusted []netip.Prefix
	for _, text := range []string{"10.0.0.0/8", "2001:db8:1::/48", "192.168.0.0/16", "fe80::/10", "::1/128"} {
		trusted = append(trusted, netip.MustParsePrefix(text))
	}
	isTrusted := func(addr netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	f.Fuzz(func(t *testing.T, peerText, first, second string) {
		r := newRequest(http.Header{"X-Forwarded-For": {first, second}})
		r.RemoteAddr = peerText
		said := handler.sourceOfRequest(r)
		peer, isAddr := parseAddr(peerText)
		if !isAddr {
			if said.client.IsValid() || len(said.chain) > 0 {
				t.Errorf("a peer without an address has client %q, chain %q", said.client, said.chain)
			}
			return
		}
		hops := []netip.Addr{peer} // from the peer to the client
		for _, text := range slices.Backward(said.chain) {
			hops = append(hops, wantPlain(t, text))
		}
		last := len(hops) - 1
		if client := wantPlain(t, said.client.String()); client != hops[last] {
			t.Errorf("client %s, want %s", client, hops[last])
		}
		for _, hop := range hops[:last] {
			if !isTrusted(hop) {
				t.Errorf("%s is left of %s, which is not trusted", hops[last], hop)
			}
		}
		parts := strings.Split(first+","+second, ",")
		slices.Reverse(parts)
		for i, part := range parts {
			addr, ok := parseAddr(strings.TrimSpace(part))
			if i < last && (!ok || addr != hops[i+1]) {
				t.Errorf("hop %d is %s, but the header has %q", i, hops[i+1], part)
			}
			if i == last && ok && isTrusted(hops[last]) {
				t.Errorf("the search ends at %s, which is trusted, before %s", hops[last], addr)
			}
		}
	})
}

func wantPlain(t *testing.T, text string) netip.Addr {
	t.Helper()
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		t.Errorf("%q is not a plain address: %v", text, err)
	}
	return addr
}
