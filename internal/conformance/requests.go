package conformance

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/quic-go/quic-go/http3"
)

type header map[string][]string

// testCase is one request and the expected result.
type testCase struct {
	Name    string
	Options Options
	From    string // the client's loopback address, 127.0.0.1 unless given
	Method  string // GET unless given
	Header  header
	HTTP1   bool // a header that only HTTP/1.1 allows

	Status  int               // 200 unless given
	Arrives map[string]string // at Immich; "" for a header that must not
	Claims  bool              // relies on forwarding headers of a trusted peer

	Challenge string // WWW-Authenticate of a denial, if it matters
}

var (
	withKey   = Options{"keys": []string{"phone:" + Key}}
	withProxy = Options{"keys": []string{"phone:" + Key}, "trustedProxies": []string{"127.0.0.2", "10.0.0.0/8", "2001:db8:1::/48"}}
	open      = Options{"requireKey": false}
	withHome  = Options{"keys": []string{"phone:" + Key}, "keyNameHeader": "X-Key-Name", "trustedProxies": "127.0.0.2", "keylessNetworks": []string{"127.0.0.4", "127.0.0.2", "2001:db8:2::/48"}}
	right     = header{"X-Access-Key": {Key}}
)

// forgedKeyless claims that the client is in a keyless network.
var forgedKeyless = header{"X-Forwarded-For": {"127.0.0.4"}, "X-Real-Ip": {"127.0.0.4"}, "Forwarded": {"for=127.0.0.4"}, "X-Key-Name": {"phone"}}

func plus(h header, name string, values ...string) header {
	sum := maps.Clone(h)
	sum[name] = values
	return sum
}

// keyed returns options with one key entry.
func keyed(entry string) Options { return Options{"keys": []string{entry}} }

var cases = []testCase{
	{Name: "no key", Options: withKey, Status: 403},
	{Name: "empty key", Options: withKey, Header: header{"X-Access-Key": {""}}, Status: 403},
	{Name: "wrong key", Options: withKey, Header: header{"X-Access-Key": {"wrong"}}, Status: 403},
	{Name: "key in other case", Options: withKey, Header: header{"X-Access-Key": {strings.ToUpper(Key)}}, Status: 403},
	{Name: "beginning of the key", Options: withKey, Header: header{"X-Access-Key": {Key[:20]}}, Status: 403},
	{Name: "key and more", Options: withKey, Header: header{"X-Access-Key": {Key + "x"}}, Status: 403},
	{Name: "key of 24 KB", Options: withKey, Header: header{"X-Access-Key": {strings.Repeat("k", 24<<10)}}, Status: 403},
	{Name: "name instead of the key", Options: withKey, Header: header{"X-Access-Key": {"phone:" + Key}}, Status: 403},
	{Name: "comma list with the key", Options: withKey, Header: header{"X-Access-Key": {Key + ", " + Key}}, Status: 403},
	{Name: "key twice", Options: withKey, Header: header{"X-Access-Key": {Key, Key}}, Status: 403},
	{Name: "key under an underscore", Options: withKey, Header: header{"X_Access_Key": {Key}}, Status: 403},
	{Name: "key as bearer", Options: withKey, Header: header{"Authorization": {"Bearer " + Key}}, Status: 403},
	{Name: "key with blanks around it", Options: withKey, Header: header{"X-Access-Key": {" \t" + Key + "\t "}}, Arrives: map[string]string{"X-Access-Key": ""}},
	{Name: "key with a no-break space", Options: withKey, Header: header{"X-Access-Key": {"\u00a0" + Key}}, Status: 403},
	{Name: "blanks for a key", Options: withKey, Header: header{"X-Access-Key": {" "}}, Status: 403},
	{Name: "HEAD without key", Options: withKey, Method: "HEAD", Status: 403},
	{Name: "right key", Options: withKey, Header: right, Arrives: map[string]string{"X-Access-Key": ""}},
	{Name: "other headers pass", Options: withKey, Header: plus(right, "X-Immich-Checksum", "abc"), Arrives: map[string]string{"X-Immich-Checksum": "abc"}},
	{Name: "second key", Options: Options{"keys": []string{"a:aaaaaaaaaaaaaaaaaaaa", "b:" + Key}}, Header: right},
	{Name: "keys as one string", Options: Options{"keys": "a:aaaaaaaaaaaaaaaaaaaa,b:" + Key}, Header: right},
	{Name: "key without name", Options: keyed(Key), Header: right},
	{Name: "key by digest", Options: keyed("phone:sha256:" + keyDigest), Header: right},
	{Name: "digest is no key", Options: keyed("phone:sha256:" + keyDigest), Header: header{"X-Access-Key": {keyDigest}}, Status: 403},
	{Name: "empty key where there is a digest", Options: keyed("phone:sha256:" + keyDigest), Header: header{"X-Access-Key": {""}}, Status: 403},
	{Name: "expired", Options: keyed("phone:" + Key + " expires=2020-01-31"), Header: right, Status: 403},
	{Name: "not yet expired", Options: keyed("phone:" + Key + " expires=2999-12-31"), Header: right, Arrives: map[string]string{"X-Access-Key": "", "X-Real-Ip": "127.0.0.1"}},
	{Name: "method allowed", Options: keyed("phone:" + Key + " methods=GET,HEAD"), Header: right},
	{Name: "method not allowed", Options: keyed("phone:" + Key + " methods=GET,HEAD"), Method: "DELETE", Header: right, Status: 403},
	{Name: "methods for labels", Options: Options{"keys": "phone:" + Key + " methods=get+delete,other:aaaaaaaaaaaaaaaaaaaa"}, Method: "DELETE", Header: right},
	{Name: "upgrade with a key for some methods", Options: keyed("phone:" + Key + " methods=GET,HEAD"), HTTP1: true, Status: 403,
		Header: plus(plus(right, "Connection", "Upgrade"), "Upgrade", "websocket")},
	{Name: "upgrade with a key for all methods", Options: keyed("phone:" + Key + " methods=GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS,CONNECT,TRACE"), HTTP1: true,
		Header: plus(plus(right, "Connection", "Upgrade"), "Upgrade", "websocket")},
	{Name: "other header", Options: Options{"keys": []string{Key}, "keyHeader": "x-gateway"}, Header: header{"X-Gateway": {Key}}, Arrives: map[string]string{"X-Gateway": ""}},
	{Name: "default header under another name", Options: Options{"keys": []string{Key}, "keyHeader": "x-gateway"}, Header: right, Status: 403},
	{Name: "forwardKey", Options: Options{"keys": []string{Key}, "forwardKey": true}, Header: right, Arrives: map[string]string{"X-Access-Key": Key}},
	{Name: "keyNameHeader", Options: named, Header: right, Arrives: map[string]string{"X-Key-Name": "phone", "X-Access-Key": ""}},
	{Name: "keyNameHeader forged", Options: named, Header: plus(plus(right, "X-Key-Name", "admin"), "X_Key_Name", "admin"), Arrives: map[string]string{"X-Key-Name": "phone", "X_key_name": ""}},
	{Name: "keyNameHeader forged without key", Options: Options{"requireKey": "false", "keyNameHeader": "X-Key-Name"}, Header: header{"X-Key-Name": {"admin"}}, Arrives: map[string]string{"X-Key-Name": ""}},
	{Name: "open", Options: open, Arrives: map[string]string{"X-Real-Ip": "127.0.0.1"}},
	{Name: "open, with a key", Options: open, Header: right, Arrives: map[string]string{"X-Access-Key": ""}},
	{Name: "empty options have their defaults", Options: Options{"keys": "phone:" + Key, "requireKey": "", "keyHeader": "", "maxUploadSize": ""}, Status: 403},

	{Name: "network without a key", Options: withHome, From: "127.0.0.4", Arrives: map[string]string{"X-Real-Ip": "127.0.0.4"}},
	{Name: "network without a key, wrong key", Options: withHome, From: "127.0.0.4", Header: header{"X-Access-Key": {"wrong"}}, Arrives: map[string]string{"X-Access-Key": ""}},
	{Name: "network without a key, right key", Options: withHome, From: "127.0.0.4", Header: right, Arrives: map[string]string{"X-Key-Name": "phone", "X-Access-Key": ""}},
	{Name: "network without a key, forged headers", Options: withHome, From: "127.0.0.4", Header: forgedKeyless, Arrives: map[string]string{"X-Key-Name": "", "X-Forwarded-For": "127.0.0.4", "X-Real-Ip": "127.0.0.4"}},
	{Name: "not in the network", Options: withHome, Status: 403},
	{Name: "not in the network, forged headers", Options: withHome, Header: forgedKeyless, Status: 403},
	{Name: "not in the network, forged headers through a proxy", Options: withHome, From: "127.0.0.2", Claims: true, Status: 403,
		Header: header{"X-Forwarded-For": {"127.0.0.4, 203.0.113.9"}, "X-Real-Ip": {"127.0.0.4"}}},
	{Name: "network without a key, behind a proxy", Options: withHome, From: "127.0.0.2", Claims: true,
		Header:  header{"X-Forwarded-For": {"203.0.113.9, 2001:db8:2::1"}},
		Arrives: map[string]string{"X-Real-Ip": "2001:db8:2::1"}},
	{Name: "proxy of that network, naming no client", Options: withHome, From: "127.0.0.2", Status: 403},
	{Name: "proxy of that network, naming no address", Options: withHome, From: "127.0.0.2", Status: 403, Header: header{"X-Forwarded-For": {"127.0.0.4, unknown"}}},
	{Name: "proxy of that network, naming another", Options: withHome, From: "127.0.0.2", Claims: true, Header: header{"X-Forwarded-For": {"127.0.0.2"}}},

	{Name: "denyStatus 401", Options: Options{"keys": []string{Key}, "denyStatus": 401}, Status: 401},
	{Name: "denyStatus 404", Options: Options{"keys": []string{Key}, "denyStatus": 404}, Status: 404},

	{Name: "direct client", Options: withKey, Header: right, Arrives: direct},
	{Name: "direct client, open", Options: open, From: "127.0.0.9", Arrives: map[string]string{"X-Real-Ip": "127.0.0.9", "X-Forwarded-For": "127.0.0.9"}},
	{Name: "forged headers", Options: withKey, Header: forged, Arrives: direct},
	{Name: "forged headers, open", Options: open, Header: forged, Arrives: direct},
	{Name: "forged headers of a peer that is not trusted", Options: withProxy, From: "127.0.0.3", Header: forged,
		Arrives: map[string]string{"X-Real-Ip": "127.0.0.3", "X-Forwarded-For": "127.0.0.3", "X_forwarded_for": "", "Forwarded": ""}},
	{Name: "Connection drops nothing", Options: withKey, HTTP1: true,
		Header:  plus(right, "Connection", "X-Real-IP, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, close"),
		Arrives: direct},

	{Name: "handshake of a WebSocket", Options: withKey, HTTP1: true,
		Header:  plus(plus(right, "Connection", "keep-alive, Upgrade, X-Real-IP"), "Upgrade", "websocket"),
		Arrives: direct},

	{Name: "trusted proxy", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(right, "X-Forwarded-For", "203.0.113.9"),
		Arrives: map[string]string{"X-Real-Ip": "203.0.113.9", "X-Forwarded-For": "203.0.113.9, 127.0.0.2"}},
	{Name: "chain of proxies", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(right, "X-Forwarded-For", "6.6.6.6", "203.0.113.9, 10.0.0.7"),
		Arrives: map[string]string{"X-Real-Ip": "203.0.113.9", "X-Forwarded-For": "203.0.113.9, 10.0.0.7, 127.0.0.2"}},
	{Name: "nothing but proxies", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(right, "X-Forwarded-For", "10.0.0.6, 10.0.0.7"),
		Arrives: map[string]string{"X-Real-Ip": "10.0.0.6", "X-Forwarded-For": "10.0.0.6, 10.0.0.7, 127.0.0.2"}},
	{Name: "no address in the chain", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(right, "X-Forwarded-For", "203.0.113.9, unknown, 10.0.0.7"),
		Arrives: map[string]string{"X-Real-Ip": "10.0.0.7", "X-Forwarded-For": "10.0.0.7, 127.0.0.2"}},
	{Name: "IPv6 with brackets and port", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(right, "X-Forwarded-For", "[2001:DB8::1]:443, [2001:db8:1::2]"),
		Arrives: map[string]string{"X-Real-Ip": "2001:db8::1", "X-Forwarded-For": "2001:db8::1, 2001:db8:1::2, 127.0.0.2"}},
	{Name: "IPv4 in IPv6, and a zone", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(right, "X-Forwarded-For", "fe80::1%eth0, ::ffff:10.0.0.7"),
		Arrives: map[string]string{"X-Real-Ip": "fe80::1", "X-Forwarded-For": "fe80::1, 10.0.0.7, 127.0.0.2"}},
	{Name: "24 KB of X-Forwarded-For", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(right, "X-Forwarded-For", strings.Repeat("6.6.6.6, ", 2700)+"203.0.113.9"),
		Arrives: map[string]string{"X-Real-Ip": "203.0.113.9", "X-Forwarded-For": "203.0.113.9, 127.0.0.2"}},
	{Name: "scheme and host of a trusted proxy", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(plus(right, "X-Forwarded-Proto", "wss"), "X-Forwarded-Host", "photos.example.org"),
		Arrives: map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "photos.example.org", "X-Real-Ip": "127.0.0.2"}},
	{Name: "no scheme at all", Options: withProxy, From: "127.0.0.2", Claims: true,
		Header:  plus(plus(right, "X-Forwarded-Proto", "gopher"), "X-Forwarded-Host", "a, b"),
		Arrives: map[string]string{"X-Forwarded-Proto": ownScheme, "X-Forwarded-Host": ownHost}},
	{Name: "Forwarded of a trusted proxy", Options: withProxy, From: "127.0.0.2",
		Header:  plus(right, "Forwarded", "for=6.6.6.6"),
		Arrives: map[string]string{"Forwarded": ""}},
	{Name: "loopback", Options: Options{"requireKey": false, "trustedProxies": "loopback,private"}, Claims: true,
		Header:  header{"X-Forwarded-For": {"203.0.113.9, 192.168.1.2"}},
		Arrives: map[string]string{"X-Real-Ip": "203.0.113.9"}},
}

var named = Options{"keys": []string{"phone:" + Key}, "keyNameHeader": "X-Key-Name"}

// ownScheme and ownHost stand for the scheme and host of the gateway.
const (
	ownScheme = "<scheme>"
	ownHost   = "<host>"
)

var forged = header{
	"X-Access-Key": {Key}, "X-Real-Ip": {"6.6.6.6"}, "X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"gopher"},
	"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Port": {"1"}, "X-Forwarded-Prefix": {"/evil"}, "Forwarded": {"for=6.6.6.6"},
	"X_Forwarded_Port": {"1"}, "X-Forwarded_Port": {"1"}, "X_Forwarded_Prefix": {"/evil"},
	"X_Forwarded_For": {"6.6.6.6"}, "X_FORWARDED_HOST": {"evil.example"}, "x_forwarded_proto": {"gopher"}, "X_Real_IP": {"6.6.6.6"},
	"X-Forwarded_For": {"6.6.6.6"}, "X_Forwarded-For": {"6.6.6.6"}, "X-Real_IP": {"6.6.6.6"}, "X_Real-IP": {"6.6.6.6"},
	"X-Forwarded_Host": {"evil.example"}, "X_Forwarded-Host": {"evil.example"}, "X-Forwarded_Proto": {"gopher"}, "X_Forwarded-Proto": {"gopher"},
}

var direct = map[string]string{
	"X-Real-Ip": "127.0.0.1", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": ownScheme, "X-Forwarded-Host": ownHost,
	"X-Forwarded-Prefix": "", "Forwarded": "", "X_forwarded_port": "", "X-Forwarded_port": "", "X_forwarded_prefix": "",
	"X_forwarded_for": "", "X_forwarded_host": "", "X_forwarded_proto": "", "X_real_ip": "",
	"X-Forwarded_for": "", "X_forwarded-For": "", "X-Real_ip": "", "X_real-Ip": "",
	"X-Forwarded_host": "", "X_forwarded-Host": "", "X-Forwarded_proto": "", "X_forwarded-Proto": "",
}

func requests(t *testing.T, proxy Proxy) {
	for _, c := range slices.Concat(cases, basicCases) {
		if c.Claims && proxy.HidesClaims {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			gateway := proxy.Open(t, c.Options)
			if c.HTTP1 && gateway.TLS != nil {
				gateway.TLS = gateway.TLS.Clone()
				gateway.TLS.NextProtos = []string{"http/1.1"}
			}
			gateway.try(t, c, gateway.client(t, c.from()))
			if gateway.HTTP3 && !c.HTTP1 {
				t.Run("HTTP/3", func(t *testing.T) { gateway.try(t, c, gateway.http3Client(t, c.from())) })
			}
		})
	}
}

func (g Gateway) try(t *testing.T, c testCase, client *http.Client) {
	t.Helper()
	before := g.Immich.Requests()
	response, body := do(t, client, g.request(t, c))
	if _, overHTTP3 := client.Transport.(*http3.Transport); overHTTP3 != (response.ProtoMajor == 3) {
		t.Errorf("the answer is %s", response.Proto)
	}
	if c.Status == 0 || c.Status == http.StatusOK {
		wantArrival(t, g, response, body, c.Arrives)
		return
	}
	wantError(t, response, body, c.Status)
	if got := strings.Join(response.Header["Www-Authenticate"], " | "); c.Challenge != "" && got != c.Challenge {
		t.Errorf("WWW-Authenticate: %s, want %s", got, c.Challenge)
	}
	if g.Immich.Requests() != before {
		t.Error("the request has reached Immich")
	}
}

func (g Gateway) request(t *testing.T, c testCase) *http.Request {
	t.Helper()
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequest(method, g.scheme()+"://"+g.Host+"/api/show?albumId=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range c.Header {
		request.Header[name] = values
	}
	return request
}

func (c testCase) from() string {
	if c.From == "" {
		return "127.0.0.1"
	}
	return c.From
}

func do(t *testing.T, client *http.Client, request *http.Request) (*http.Response, []byte) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response, readAll(t, response)
}

func readAll(t *testing.T, response *http.Response) []byte {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func wantArrival(t *testing.T, gateway Gateway, response *http.Response, body []byte, wanted map[string]string) {
	t.Helper()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", response.StatusCode, body)
	}
	var arrival fakeimmich.Arrival
	if response.Request.Method != http.MethodHead {
		if err := json.Unmarshal(body, &arrival); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	}
	for name, value := range wanted {
		value = strings.NewReplacer(ownScheme, gateway.scheme(), ownHost, gateway.Host).Replace(value)
		if got := strings.Join(arrival.Headers[name], " | "); got != value {
			t.Errorf("%s arrived as %q, want %q", name, got, value)
		}
	}
	if arrival.Host != gateway.Host {
		t.Errorf("Host arrived as %q, want %q", arrival.Host, gateway.Host)
	}
}

// wantError expects an error in Immich's format that is not cached.
func wantError(t *testing.T, response *http.Response, body []byte, status int) {
	t.Helper()
	if response.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", response.StatusCode, status, body)
	}
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %q", got)
	}
	if response.Request != nil && response.Request.Method == http.MethodHead {
		return
	}
	var answer struct {
		Message    string
		Error      string
		StatusCode int
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if answer.Message == "" || answer.Error == "" || answer.StatusCode != status {
		t.Errorf("the response does not have Immich's format: %s", body)
	}
}
