package harness

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// ForSite makes a client request the site Domain, at any address, verify its certificate, and send the header with each request. The client
// does not follow redirects.
func ForSite(client *http.Client, roots *x509.CertPool, header http.Header) *http.Client {
	verified := &tls.Config{RootCAs: roots, ServerName: Domain}
	switch transport := client.Transport.(type) {
	case *http.Transport:
		verified.NextProtos = transport.TLSClientConfig.NextProtos
		transport.TLSClientConfig = verified
	case *http3.Transport:
		transport.TLSClientConfig = verified
	}
	client.Transport = siteTransport{client.Transport, header}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

type siteTransport struct {
	http.RoundTripper

	header http.Header
}

func (s siteTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = Domain
	for name, values := range s.header {
		r.Header[name] = values
	}
	return s.RoundTripper.RoundTrip(r)
}

func (s siteTransport) CloseIdleConnections() {
	s.RoundTripper.(interface{ CloseIdleConnections() }).CloseIdleConnections()
}

func (s siteTransport) Close() error {
	CloseClient(&http.Client{Transport: s.RoundTripper})
	return nil
}

// LogIn fills in the login page at the address, and returns the session's cookie. The client must not follow redirects.
func LogIn(t testing.TB, client *http.Client, address, key string) *http.Cookie {
	t.Helper()
	response := sendForm(t, client, "https://"+address+"/.immichaccess", url.Values{"key": {key}}, nil)
	cookies := response.Cookies()
	if response.StatusCode != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("logging in: %s, %d cookies", response.Status, len(cookies))
	}
	return cookies[0]
}

// LogOut ends the session of the cookie at the address.
func LogOut(t testing.TB, client *http.Client, address string, session *http.Cookie) {
	t.Helper()
	if response := sendForm(t, client, "https://"+address+"/.immichaccess/logout", nil, session); response.StatusCode != http.StatusSeeOther {
		t.Fatalf("logging out: %s", response.Status)
	}
}

func sendForm(t testing.TB, client *http.Client, url string, form url.Values, session *http.Cookie) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin") // as a browser does
	if session != nil {
		request.AddCookie(session)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response
}
