package listen_test

import (
	"context"
	"encoding/csv"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// vps is the relay's address, the only one whose headers are accepted.
const vps = "127.0.0.5"

// startRelay runs HAProxy with its example, and returns the addresses of the relay for HTTPS in front of the site and of that
// for HTTP, and the socket that reports its health checks.
func startRelay(t *testing.T, s *site, https, plainHTTP, version string) (http, status string) {
	t.Helper()
	s.front, http, status = harness.FreeAddress(t), harness.FreeAddress(t), s.file("haproxy.sock")
	text := harness.Example(t, "relay/haproxy.cfg",
		":443", s.front, ":80", http,
		"10.8.0.2:443 send-proxy-v2 check", https+" source "+vps+" "+version+" check check-ssl verify none inter 100ms",
		"10.8.0.2:80 send-proxy-v2 check", plainHTTP+" source "+vps+" "+version+" check inter 100ms")
	config := s.write(t, "haproxy.cfg", "global\n  stats socket "+status+"\n"+text)
	s.awaitListening(t, harness.Start(t, harness.Tool(t, "haproxy"), "-db", "-f", config), s.front)
	return http, status
}

// newRelayedSite starts our proxy at home, with a key, and without one.
func newRelayedSite(t *testing.T, version string) (s *site, home, http, status string) {
	t.Helper()
	https, plainHTTP := harness.FreeAddress(t), harness.FreeAddress(t)
	s = newSite(t)
	config := s.write(t, "immichaccess.yml", harness.Example(t, "relay/immichaccess.yml", "domains:\n  - "+host+"\n",
		"tls:\n  certFile: "+s.file("cert.pem")+"\n  keyFile: "+s.file("key.pem")+"\n"))
	s.run(t, config, https, "--listen.https="+https, "--listen.http="+plainHTTP, "--listen.proxyProtocol="+vps,
		"--access.keylessNetworks=127.0.0.88", "--log.access=true")
	http, status = startRelay(t, s, https, plainHTTP, version)
	return s, https, http, status
}

func TestThroughARelay(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s, home, http, status := newRelayedSite(t, version)
			for _, http2 := range []bool{false, true} {
				namesTheClientBehindARelay(t, s, http2)
			}
			judgesTheClientBehindARelay(t, s)
			redirectsThroughARelay(t, http)
			streamsAnUpload(t, s, s.client(t, true), false)
			opensAWebSocket(t, s)
			harness.Await(t, "the health checks to pass", func() bool { return checks(t, status) == "L6OK L4OK" })
			believesNobodyElse(t, s, home)
		})
	}
}

func namesTheClientBehindARelay(t *testing.T, s *site, http2 bool) {
	t.Helper()
	seen := arrival(t, s.client(t, http2), newRequest(t, http.MethodGet, "/nothing", nil))
	if got := seen.Headers.Get("X-Real-Ip"); got != client || seen.Headers.Get("X-Forwarded-For") != client {
		t.Errorf("the client is %q, the chain %q", got, seen.Headers.Get("X-Forwarded-For"))
	}
}

// judgesTheClientBehindARelay requires a key from all clients except those in the keyless network.
func judgesTheClientBehindARelay(t *testing.T, s *site) {
	t.Helper()
	for from, want := range map[string]int{client: http.StatusForbidden, "127.0.0.88": http.StatusOK} {
		c := s.client(t, false)
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", s.front)
		}
		request := newRequest(t, http.MethodGet, "/nothing", nil)
		request.Header.Del("X-Access-Key")
		if response, body := send(t, c, request); response.StatusCode != want {
			t.Errorf("%s: %s\n%s", from, response.Status, body)
		}
	}
}

func redirectsThroughARelay(t *testing.T, address string) {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: harness.Patience}
	response, err := c.Get("http://" + address + "/photos")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusPermanentRedirect {
		t.Errorf("%s", response.Status)
	}
}

// checks returns the results of the last health checks of both servers.
func checks(t *testing.T, socket string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "show stat\n")
	rows, err := csv.NewReader(conn).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var results []string
	for _, row := range rows[1:] {
		if row[1] == "home" {
			for i, column := range rows[0] {
				if column == "check_status" {
					results = append(results, strings.TrimPrefix(row[i], "* "))
				}
			}
		}
	}
	return strings.Join(results, " ")
}

// believesNobodyElse sends a header from an address that is not listed, which ends the connection.
func believesNobodyElse(t *testing.T, s *site, home string) {
	t.Helper()
	conn, err := net.Dial("tcp", home)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "PROXY TCP4 127.0.0.88 127.0.0.1 1 443\r\n")
	answer, _ := io.ReadAll(conn) // or a reset
	if strings.Contains(string(answer), "HTTP/1.1 200") || strings.Contains(s.proxy.Log.String(), "client=127.0.0.88 key= method=GET path=/ ") {
		t.Errorf("it answers %q\n%s", answer, s.proxy.Log)
	}
}
