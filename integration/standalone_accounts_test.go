package integration

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
)

// Authorities that want to be introduced, by an external account, and the one that stands in for Let's Encrypt.

const (
	accountID       = "account-1"
	zeroSSL         = "acme.zerossl.com"
	zeroSSLAccounts = "api.zerossl.com"
)

var accountKey = base64.RawURLEncoding.EncodeToString([]byte("a secret that Pebble and its client share"))

// wantsIntroduction are Pebble's settings for an authority that does.
var wantsIntroduction = map[string]any{
	"externalAccountBindingRequired": true, "externalAccountMACKeys": map[string]string{accountID: accountKey},
}

func TestExternalAccount(t *testing.T) {
	t.Parallel()
	a := startAuthority(t, wantsIntroduction)
	startStandalone(t, a, t.TempDir(), "--acme.eab.keyID="+accountID, "--acme.eab.hmacKey="+accountKey)
	for problem, eab := range map[string][]string{
		"externalAccountRequired": nil,
		"unauthorized":            {"--acme.eab.keyID=account-2", "--acme.eab.hmacKey=" + accountKey},
	} {
		log := startStandalone(t, a, t.TempDir(), append(eab, "--listen.https="+freeAddress(t), "--listen.http=")...)
		await(t, "the log to tell why", func() bool { return strings.Contains(log.String(), problem) })
	}
	awaitCertificate(t, a.https)
}

// TestSecondAuthority has the authorities that are built in, without a word on them but an e-mail address. Their names lead
// to the test, since the program takes its HTTPS proxy and its roots from the environment, as Go's programs do: nothing
// answers for Let's Encrypt, and Pebble for ZeroSSL.
func TestSecondAuthority(t *testing.T) {
	t.Parallel()
	a := startAuthority(t, wantsIntroduction)
	_, immich := serveImmich(t)
	environ := []string{"HTTPS_PROXY=" + tunnels(t, a.serve(t, actZeroSSL(t, a))), "NO_PROXY=", "SSL_CERT_FILE=" + a.roots}
	log, _ := launch(t, environ, "immichaccess", append(a.arguments(immich, t.TempDir()),
		"--acme.server=", "--acme.trustedRoots=", "--acme.email=me@example.com")...)
	awaitCertificate(t, a.https)
	if !strings.Contains(log.String(), "acme-v02.api.letsencrypt.org") {
		t.Error("Let's Encrypt was not asked first")
	}
}

// actZeroSSL introduces clients by their e-mail address, and leaves the rest to Pebble.
func actZeroSSL(t *testing.T, a *authority) http.Handler {
	t.Helper()
	target, err := url.Parse(a.directory)
	if err != nil {
		t.Fatal(err)
	}
	pebble := &httputil.ReverseProxy{
		Transport: a.client(t).Transport,
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

// tunnels runs a proxy for HTTPS that leads ZeroSSL's names to a server and all others nowhere, and returns its URL.
func tunnels(t *testing.T, server string) string {
	t.Helper()
	target := strings.TrimPrefix(server, "https://")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != zeroSSL+":443" && r.Host != zeroSSLAccounts+":443" {
			http.Error(w, "this is down", http.StatusBadGateway)
			return
		}
		far, err := new(net.Dialer).DialContext(r.Context(), "tcp", target)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			_ = far.Close()
			return
		}
		go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
		_, _ = io.Copy(near, far)
		_ = near.Close()
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
