package standalone

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// CAs that require an external account, and the second CA, which is used if Let's Encrypt is down.

const (
	accountID       = "account-1"
	zeroSSL         = "acme.zerossl.com"
	zeroSSLAccounts = "api.zerossl.com"
)

var accountKey = base64.RawURLEncoding.EncodeToString([]byte("a secret that Pebble and its client share"))

func startPebbleWithAccounts(t *testing.T) *harness.Pebble {
	t.Helper()
	return harness.StartPebble(t, harness.PebbleOptions{
		ExternalAccounts: map[string]string{accountID: accountKey}, Names: []string{zeroSSL, zeroSSLAccounts},
	})
}

func TestExternalAccount(t *testing.T) {
	t.Parallel()
	ca := startPebbleWithAccounts(t)
	startACME(t, ca, t.TempDir(), "--acme.eab.keyID="+accountID, "--acme.eab.hmacKey="+accountKey)
	for problem, eab := range map[string][]string{
		"externalAccountRequired": nil,
		"unauthorized":            {"--acme.eab.keyID=account-2", "--acme.eab.hmacKey=" + accountKey},
	} {
		log := startACME(t, ca, t.TempDir(), append(eab, "--listen.https="+harness.FreeAddress(t), "--listen.http=")...)
		harness.Await(t, "the log to say why", func() bool { return log.Contains(problem) })
	}
	awaitCertificate(t, ca.HTTPS)
}

// TestSecondCA uses the built-in CAs, configured by an e-mail address alone. Their names lead to the test, since the program
// takes its HTTPS proxy and its roots from the environment, as Go programs do: Let's Encrypt is down, and Pebble responds in
// place of ZeroSSL.
func TestSecondCA(t *testing.T) {
	t.Parallel()
	ca := startPebbleWithAccounts(t)
	_, immich := harness.ServeImmich(t)
	environ := []string{"HTTPS_PROXY=" + connectProxy(t, serveTLS(t, ca, fakeZeroSSL(t, ca))), "NO_PROXY=", "SSL_CERT_FILE=" + ca.Roots}
	arguments := append(acmeArguments(ca, immich, t.TempDir()), "--acme.server=", "--acme.trustedRoots=", "--acme.email=me@example.com")
	log := harness.Program{Path: harness.Binary(t), Arguments: arguments, Environ: environ}.Start(t).Log
	awaitCertificate(t, ca.HTTPS)
	if !log.Contains("acme-v02.api.letsencrypt.org") {
		t.Error("Let's Encrypt was not asked first")
	}
}

// fakeZeroSSL makes an external account for an e-mail address, and forwards everything else to Pebble.
func fakeZeroSSL(t *testing.T, ca *harness.Pebble) http.Handler {
	t.Helper()
	target, err := url.Parse(ca.Directory)
	if err != nil {
		t.Fatal(err)
	}
	pebble := &httputil.ReverseProxy{
		Transport: ca.Client(t).Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			if r.In.URL.Path == "/v2/DV90" {
				r.Out.URL.Path = target.Path
			}
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == zeroSSLAccounts {
			_ = json.NewEncoder(w).Encode(map[string]any{
				"success": r.FormValue("email") == "me@example.com", "eab_kid": accountID, "eab_hmac_key": accountKey,
			})
			return
		}
		pebble.ServeHTTP(w, r)
	})
}

// connectProxy runs an HTTP proxy whose CONNECT leads ZeroSSL's names to a server and fails for all others, and returns its URL.
func connectProxy(t *testing.T, server string) string {
	t.Helper()
	target := strings.TrimPrefix(server, "https://")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != zeroSSL+":443" && r.Host != zeroSSLAccounts+":443" {
			http.Error(w, "this is down", http.StatusBadGateway)
			return
		}
		upstream, err := new(net.Dialer).DialContext(r.Context(), "tcp", target)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			_ = upstream.Close()
			return
		}
		go func() { _, _ = io.Copy(upstream, client); _ = upstream.Close() }()
		_, _ = io.Copy(client, upstream)
		_ = client.Close()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
