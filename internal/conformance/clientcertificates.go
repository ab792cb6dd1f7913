package conformance

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/clientcert"
)

// Clients are certificates of one authority, and of others: valid ones, and one for each kind of defect.
type Clients struct {
	CAFile  string
	Options Options // that accept the valid ones, and revoke two

	certificates map[string]tls.Certificate
}

// NewClients makes the certificates.
func NewClients(t *testing.T) *Clients {
	t.Helper()
	c := &Clients{CAFile: filepath.Join(t.TempDir(), "client-ca.pem"), certificates: map[string]tls.Certificate{}}
	authority, other := newAuthority(t), newAuthority(t)
	if err := os.WriteFile(c.CAFile, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	issue := func(from *clientcert.Authority, identity, name string, until time.Duration) *clientcert.Certificate {
		certificate, err := from.Issue(name, time.Now(), time.Now().Add(until))
		if err != nil {
			t.Fatal(err)
		}
		c.certificates[identity] = certificate.TLS()
		return certificate
	}
	issue(authority, "valid", "anna-phone", time.Hour)
	issue(authority, "odd name", "Anna's phone", time.Hour)
	issue(authority, "no name", "", time.Hour)
	issue(authority, "expired", "anna-tablet", -10*time.Minute)
	issue(authority, "revoked by name", "lost-phone", time.Hour)
	stolen := issue(authority, "revoked by number", "anna-laptop", time.Hour)
	issue(other, "foreign", "anna-phone", time.Hour)
	c.Options = Options{
		"keys": []string{"family:" + Key}, "keyNameHeader": "X-Key-Name", "trustedProxies": "127.0.0.2", "maxWrongKeys": 3,
		"clientCertificates": true, "revokedCertificates": "lost-phone," + withColons(stolen.Serial()),
	}
	return c
}

func newAuthority(t *testing.T) *clientcert.Authority {
	t.Helper()
	authority, err := clientcert.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// withColons writes a serial number as openssl does.
func withColons(hex string) string {
	hex = strings.ToUpper(hex)
	if len(hex)%2 == 1 {
		hex = "0" + hex
	}
	var pairs []string
	for i := 0; i < len(hex); i += 2 {
		pairs = append(pairs, hex[i:i+2])
	}
	return strings.Join(pairs, ":")
}

// CertificateProxy is a way to run the handler that requests client certificates.
type CertificateProxy struct {
	// Gateway has the Options of Clients, and requests certificates of their authority.
	Gateway Gateway
	// Refused are the certificates with which TLS itself ends the connection: "foreign", "expired".
	Refused []string
}

// certificateCase is one request and the expected response.
type certificateCase struct {
	name     string
	identity string // "" for no certificate
	from     string
	header   header
	status   int
	message  string // in the response
	key      string // the name that reaches Immich
}

var certificateCases = []certificateCase{
	{name: "nothing", status: 403, message: "Missing or invalid access key"},
	{name: "key", header: right, status: 200, key: "family"},
	{name: "certificate", identity: "valid", status: 200, key: "anna-phone"},
	{name: "certificate and a forged name", identity: "valid", header: header{"X-Key-Name": {"admin"}, "X_Key_Name": {"admin"}}, status: 200, key: "anna-phone"},
	{name: "certificate and the right key", identity: "valid", header: right, status: 200, key: "family"},
	{name: "certificate and a wrong key", identity: "valid", header: header{"X-Access-Key": {"wrong"}}, status: 403},
	{name: "certificate of a trusted proxy", identity: "valid", from: "127.0.0.2", status: 403, message: "trusted proxy"},
	{name: "certificate with other characters in its name", identity: "odd name", status: 403, message: "common name"},
	{name: "certificate without a name", identity: "no name", status: 403, message: "common name"},
	{name: "certificate that has expired", identity: "expired", status: 403, message: "expired certificate"},
	{name: "certificate revoked by name", identity: "revoked by name", status: 403, message: "revoked certificate"},
	{name: "certificate revoked by number", identity: "revoked by number", status: 403, message: "revoked certificate"},
	{name: "revoked certificate and the right key", identity: "revoked by name", header: right, status: 200, key: "family"},
	{name: "certificate of another CA", identity: "foreign", status: 403, message: "unknown CA"},
	{name: "certificate of another CA and the right key", identity: "foreign", header: right, status: 200, key: "family"},
}

// Run tests the proxy with client certificates, over each protocol.
func (c *Clients) Run(t *testing.T, proxy CertificateProxy) {
	protocols := []string{"HTTP/1.1", "HTTP/2.0"}
	if proxy.Gateway.HTTP3 {
		protocols = append(protocols, "HTTP/3.0")
	}
	for _, protocol := range protocols {
		for _, test := range certificateCases {
			t.Run(protocol+"/"+test.name, func(t *testing.T) { c.try(t, proxy, protocol, test) })
		}
	}
	t.Run("lockout", func(t *testing.T) { c.lockout(t, proxy.Gateway) })
}

func (c *Clients) try(t *testing.T, proxy CertificateProxy, protocol string, test certificateCase) {
	gateway := proxy.Gateway
	request := gateway.get(t, http.MethodGet, "/api/show")
	request.Header = http.Header{}
	for name, values := range test.header {
		request.Header[name] = values
	}
	before := gateway.Immich.Requests()
	response, err := c.client(t, gateway, protocol, test).Do(request)
	if slices.Contains(proxy.Refused, test.identity) {
		if err == nil {
			response.Body.Close()
			t.Fatalf("status %d, but TLS should refuse it", response.StatusCode)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	body := readAll(t, response)
	if response.Proto != protocol {
		t.Errorf("it is %s", response.Proto)
	}
	if test.status == http.StatusOK {
		wantArrival(t, gateway, response, body, map[string]string{"X-Key-Name": test.key, "X_key_name": "", "X-Access-Key": ""})
		return
	}
	wantError(t, response, body, test.status)
	if !strings.Contains(string(body), test.message) {
		t.Errorf("the response does not contain %q: %s", test.message, body)
	}
	if gateway.Immich.Requests() != before {
		t.Error("the request has reached Immich")
	}
}

// client connects from a loopback address, over one protocol. It sends its certificate even if the server's request does not
// name its authority.
func (c *Clients) client(t *testing.T, gateway Gateway, protocol string, test certificateCase) *http.Client {
	t.Helper()
	from := test.from
	if from == "" {
		from = "127.0.0.1"
	}
	gateway.TLS = gateway.TLS.Clone()
	if test.identity != "" {
		certificate, known := c.certificates[test.identity]
		if !known {
			t.Fatalf("there is no certificate %q", test.identity)
		}
		gateway.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	if protocol == "HTTP/1.1" {
		gateway.TLS.NextProtos = []string{"http/1.1"}
	}
	if protocol == "HTTP/3.0" {
		return gateway.http3Client(t, from)
	}
	return gateway.client(t, from)
}

// lockout tests a client whose address is locked out for wrong keys: a certificate, which can't be guessed, is still accepted.
func (c *Clients) lockout(t *testing.T, gateway Gateway) {
	address := newAddress("127.9")
	ask := func(identity, key string) int {
		t.Helper()
		request := gateway.get(t, http.MethodGet, "/api/show")
		request.Header = http.Header{}
		if key != "" {
			request.Header.Set("X-Access-Key", key)
		}
		test := certificateCase{identity: identity, from: address}
		response, _ := do(t, c.client(t, gateway, "HTTP/2.0", test), request)
		return response.StatusCode
	}
	for i := range 3 {
		ask("", "guess-"+strconv.Itoa(i))
	}
	for _, test := range []struct {
		identity, key string
		want          int
	}{
		{"", Key, http.StatusTooManyRequests},
		{"", "", http.StatusTooManyRequests},
		{"valid", Key, http.StatusTooManyRequests},
		{"revoked by name", "", http.StatusTooManyRequests},
		{"valid", "", http.StatusOK},
	} {
		if got := ask(test.identity, test.key); got != test.want {
			t.Errorf("certificate %q, key %q: status %d, want %d", test.identity, test.key, got, test.want)
		}
	}
}
