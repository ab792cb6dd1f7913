package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/pires/go-proxyproto"
)

// relay is the address from which headers are accepted, unlike the rest of loopback.
var relay = &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}

func behindRelay(s *config.Settings) {
	onPlain(s)
	s.Listen.HTTP = "127.0.0.1:0"
	s.Listen.Keyless = "127.0.0.1:0"
	s.Listen.ProxyProtocol = []string{"127.0.0.2"}
}

// v2 is a header of version 2: command and version, family and protocol, what follows.
func v2(command, family byte, rest string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	v2Local, v2Proxy       = 0x20, 0x21
	v2Unspec, v2TCP4, v2T6 = 0x00, 0x11, 0x21
	v2UDP4, v2Unix         = 0x12, 0x31

	v4Block = "\xcb\x00\x71\x07" + "\xc6\x33\x64\x01" + "\x30\x39" + "\x01\xbb" // 203.0.113.7:12345 to 198.51.100.1:443
)

func ask(t *testing.T, conn net.Conn) (*http.Response, error) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_ = response.Body.Close()
	}
	return response, err
}

// tlsOrNot are the listeners, and how to talk to them after the header.
func (s served) tlsOrNot() map[string]func(net.Conn) net.Conn {
	withTLS := func(conn net.Conn) net.Conn { return tls.Client(conn, trusting("http/1.1")) }
	without := func(conn net.Conn) net.Conn { return conn }
	return map[string]func(net.Conn) net.Conn{
		s.address: withTLS, s.listeners.Keyless.Addr().String(): withTLS, s.plain(): without, s.listeners.HTTP.Addr().String(): without,
	}
}

func TestProxyProtocolNamesTheClient(t *testing.T) {
	t.Parallel()
	s := serve(t, behindRelay)
	const peer = "127.0.0.2"
	for header, want := range map[string]string{
		"PROXY TCP4 203.0.113.7 198.51.100.1 12345 443\r\n": "203.0.113.7:12345",
		"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n":  "[2001:db8::7]:12345",
		"PROXY TCP6 203.0.113.7 2001:db8::1 12345 443\r\n":  "203.0.113.7:12345", // as nginx writes it
		"PROXY UNKNOWN\r\n": peer,
		"PROXY UNKNOWN 203.0.113.7 198.51.100.1 12345 443\r\n": peer,
		"":                           peer,
		v2(v2Proxy, v2TCP4, v4Block): "203.0.113.7:12345",
		v2(v2Proxy, v2TCP4, v4Block+"\x03\x00\x04abcd"):                                                                             "203.0.113.7:12345", // with a TLV
		v2(v2Proxy, v2TCP4, v4Block+"\x04\x0b\xb8"+strings.Repeat("x", 3000)):                                                       "203.0.113.7:12345",
		v2(v2Proxy, v2T6, strings.Repeat("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07", 2)+"\x30\x39\x01\xbb"): "[2001:db8::7]:12345",
		v2(v2Local, v2Unspec, ""):                     peer,
		v2(v2Local, v2TCP4, v4Block):                  peer,
		v2(v2Proxy, v2UDP4, v4Block):                  peer,
		v2(v2Proxy, v2Unix, strings.Repeat("x", 216)): peer,
	} {
		for address, speak := range s.tlsOrNot() {
			conn := dialPlain(t, relay, address)
			if _, err := io.WriteString(conn, header); err != nil {
				t.Fatal(err)
			}
			response, err := ask(t, speak(conn))
			if err != nil {
				t.Errorf("%q: %v", header, err)
				continue
			}
			if got := response.Header.Get("X-Client"); got != want && (want != peer || !strings.HasPrefix(got, peer+":")) {
				t.Errorf("%q names %s, want %s", header, got, want)
			}
		}
	}
}

// TestProxyProtocolIsRefused if the peer is not listed, or the header does not conform to the specification.
func TestProxyProtocolIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, behindRelay)
	other := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}}
	const good = "PROXY TCP4 203.0.113.7 198.51.100.1 12345 443\r\n"
	for name, c := range map[string]struct {
		from   *net.Dialer
		header string
	}{
		"version 1 from anybody":           {other, good},
		"version 2 from anybody":           {other, v2(v2Proxy, v2TCP4, v4Block)},
		"LOCAL from anybody":               {other, v2(v2Local, v2Unspec, "")},
		"twice":                            {relay, good + good},
		"too long":                         {relay, "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n"},
		"without an end":                   {relay, "PROXY " + strings.Repeat("1", 20000)},
		"no address":                       {relay, "PROXY TCP4 203.0.113.777 198.51.100.1 12345 443\r\n"},
		"address with a zone":              {relay, "PROXY TCP6 fe80::1%lo 2001:db8::1 12345 443\r\n"},
		"no port":                          {relay, "PROXY TCP4 203.0.113.7 198.51.100.1 99999 443\r\n"},
		"another protocol":                 {relay, "PROXY UDP4 203.0.113.7 198.51.100.1 12345 443\r\n"},
		"end of the line is missing":       {relay, "PROXY TCP4 203.0.113.7 198.51.100.1 12345 443\n"},
		"version 2, another command":       {relay, v2(0x2f, v2TCP4, v4Block)},
		"version 2, another version":       {relay, v2(0x31, v2TCP4, v4Block)},
		"version 2, another family":        {relay, v2(v2Proxy, 0x13, v4Block)},
		"version 2, addresses too short":   {relay, v2(v2Proxy, v2TCP4, v4Block[:8])},
		"version 2, longer than we take":   {relay, v2(v2Proxy, v2TCP4, v4Block+strings.Repeat("x", 60000))},
		"version 2, LOCAL and as long":     {relay, v2(v2Local, v2Unspec, strings.Repeat("x", 60000))},
		"version 2, without what it tells": {relay, v2(v2Proxy, v2TCP4, v4Block)[:20]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for address, speak := range s.tlsOrNot() {
				conn := dialPlain(t, c.from, address)
				if _, err := io.WriteString(conn, c.header); err != nil && !isReset(err) {
					t.Fatal(err)
				}
				response, err := ask(t, speak(conn))
				if isTimeout(err) {
					t.Errorf("%s: the connection stays", address)
				}
				if err == nil && response.StatusCode != http.StatusBadRequest {
					t.Errorf("%s answers %s to %s", address, response.Status, response.Header.Get("X-Client"))
				}
			}
		})
	}
}

func isReset(err error) bool {
	opError, ok := errors.AsType[*net.OpError](err)
	return ok && !opError.Timeout()
}

// TestProxyProtocolInPieces writes into a pipe, which passes on each piece separately.
func TestProxyProtocolInPieces(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"PROXY TCP4 203.0.113.7 198.51.100.1 12345 443\r\n", v2(v2Proxy, v2TCP4, v4Block+"\x03\x00\x04abcd")} {
		for size := 1; size <= len(header); size++ {
			here, there := net.Pipe()
			go func() {
				for rest := header; len(rest) > 0; rest = rest[min(size, len(rest)):] {
					_, _ = io.WriteString(there, rest[:min(size, len(rest))])
				}
				_, _ = io.WriteString(there, "hello")
				_ = there.Close()
			}()
			reader := bufio.NewReaderSize(here, proxyBuffer)
			got, err := readProxyHeader(reader)
			if err != nil || got.SourceAddr.String() != "203.0.113.7:12345" {
				t.Errorf("in pieces of %d: %+v, %v", size, got, err)
			}
			if rest, err := io.ReadAll(reader); err != nil || string(rest) != "hello" {
				t.Errorf("in pieces of %d, there follows %q, %v", size, rest, err)
			}
		}
	}
}

// TestProxyProtocolThatDoesNotCome delays no other connection, and is not waited for longer than timeouts.header.
func TestProxyProtocolThatDoesNotCome(t *testing.T) {
	t.Parallel()
	s := serve(t, func(s *config.Settings) { behindRelay(s); headerTimeout(2 * time.Second)(s) })
	var waiting []net.Conn
	for address := range s.tlsOrNot() {
		for _, said := range []string{"", "P", "PROXY TCP4 203", "\r\n\r\n\x00\r\nQUIT\n\x21"} {
			conn := dialPlain(t, relay, address)
			_, _ = io.WriteString(conn, said)
			waiting = append(waiting, conn)
		}
	}
	for address, speak := range s.tlsOrNot() {
		if response, err := ask(t, speak(dialPlain(t, relay, address))); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, conn := range waiting {
		ends(t, conn)
	}
	waitFor(t, "the connections to be forgotten", func() bool {
		s.limiter.mu.Lock()
		defer s.limiter.mu.Unlock()
		return s.limiter.unasked == 0
	})
}

// TestLimitsCountTheClientBehindARelay opens more connections through a relay than one client may have.
func TestLimitsCountTheClientBehindARelay(t *testing.T) {
	t.Parallel()
	s := serve(t, func(s *config.Settings) { behindRelay(s); s.Limits.ConnectionsPerClient = 2 })
	open := func(client int) net.Conn {
		t.Helper()
		conn := dialPlain(t, relay, s.plain())
		_, _ = fmt.Fprintf(conn, "PROXY TCP4 203.0.113.%d 198.51.100.1 12345 443\r\n", client)
		if response, err := ask(t, conn); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%v", err)
		}
		return conn
	}
	var conns []net.Conn
	for client := range 5 {
		conns = append(conns, open(client), open(client))
	}
	for i, conn := range conns {
		if response, err := ask(t, conn); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("connection %d was closed: %v", i, err)
		}
		waitFor(t, "the connection to be idle", s.isIdle) // so that the first one has been idle longest
	}
	open(0) // a third
	ends(t, conns[0])
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	if len(s.limiter.clients) != 5 {
		t.Errorf("there are %d clients", len(s.limiter.clients))
	}
}

func (s served) isIdle() bool {
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	for conn := range s.limiter.conns {
		if conn.running {
			return false
		}
	}
	return true
}

func FuzzProxyProtocol(f *testing.F) {
	for _, header := range []string{"PROXY TCP4 203.0.113.7 198.51.100.1 12345 443\r\nGET", v2(v2Proxy, v2TCP4, v4Block), v2(v2Local, v2Unspec, ""), "POST / HTTP/1.1"} {
		f.Add([]byte(header))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		header, err := readProxyHeader(bufio.NewReaderSize(strings.NewReader(string(data)), proxyBuffer))
		if err != nil {
			return
		}
		source, _, named := header.TCPAddrs()
		if named && !header.Command.IsLocal() && (source.IP.To16() == nil || source.Port < 0 || source.Port > 65535) {
			t.Errorf("%q names %v", data, source)
		}
		if !strings.HasPrefix(string(data), "PROXY ") && !strings.HasPrefix(string(data), string(proxyproto.SIGV2)) {
			t.Errorf("%q was taken for a header", data)
		}
	})
}
