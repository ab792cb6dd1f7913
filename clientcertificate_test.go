package immichaccess

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// certificate returns one in the form in which TLS passes it on.
func certificate(name string, notBefore, notAfter time.Duration) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{SerialNumber: big.NewInt(0x4f3a), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(notBefore), NotAfter: now.Add(notAfter)}
}

// The conformance table tests real certificates over TLS. These cases are what no CA would sign, or what would take years to
// occur.
func TestClientCertificateDecisions(t *testing.T) {
	good, ca := certificate("phone", -time.Hour, time.Hour), certificate("CA", -time.Hour, time.Hour)
	oldCA, laterCA := certificate("CA", -time.Hour, -time.Minute), certificate("CA", time.Minute, time.Hour)
	for name, c := range map[string]presented{
		"verified":                          {good, [][]*x509.Certificate{{good, ca}}, http.StatusOK, ""},
		"verified by a new CA and an old":   {good, [][]*x509.Certificate{{good, oldCA}, {good, ca}}, http.StatusOK, ""},
		"not verified":                      {good, nil, http.StatusForbidden, "certificate of an unknown CA"},
		"none":                              {nil, nil, http.StatusForbidden, "no key"},
		"CA has expired":                    {good, [][]*x509.Certificate{{good, oldCA}}, http.StatusForbidden, `reason="expired certificate" key=phone`},
		"CA is not valid yet":               {good, [][]*x509.Certificate{{good, laterCA}}, http.StatusForbidden, "expired certificate"},
		"expired, and not verified":         {certificate("phone", -time.Hour, -time.Minute), nil, http.StatusForbidden, `reason="expired certificate"`},
		"name with a line break":            chainOf(certificate("phone\nkey=admin", -time.Hour, time.Hour), ca, "common name"),
		"name that is too long":             chainOf(certificate(strings.Repeat("a", 65), -time.Hour, time.Hour), ca, "common name"),
		"name in letters that look alike":   chainOf(certificate("рhone", -time.Hour, time.Hour), ca, "common name"),
		"revoked, in capitals":              chainOf(certificate("LOST", -time.Hour, time.Hour), ca, "revoked certificate"),
		"revoked, and has expired":          chainOf(certificate("LOST", -time.Hour, -time.Minute), ca, "revoked certificate"),
		"of the name that is revoked, less": {certificate("LOS", -time.Hour, time.Hour), [][]*x509.Certificate{{certificate("LOS", -time.Hour, time.Hour), ca}}, http.StatusOK, ""},
	} {
		handler := newTestHandler(t, &Config{ClientCertificates: true, RevokedCertificates: []string{"LOST", "4f3b"}, LogDenied: true}, &recorder{})
		r := newRequest(nil)
		r.TLS = &tls.ConnectionState{VerifiedChains: c.chains}
		if c.peer != nil {
			r.TLS.PeerCertificates = []*x509.Certificate{c.peer}
		}
		lines := logLines(func() {
			if got := ask(handler, r).Code; got != c.status {
				t.Errorf("%s: status %d", name, got)
			}
		})
		if log := strings.Join(lines, "\n"); !strings.Contains(log, c.reason) || len(lines) > 1 {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

// presented is a certificate, the result of verifying it, and the expected response.
type presented struct {
	peer   *x509.Certificate
	chains [][]*x509.Certificate
	status int
	reason string
}

func chainOf(leaf, ca *x509.Certificate, reason string) presented {
	return presented{leaf, [][]*x509.Certificate{{leaf, ca}}, http.StatusForbidden, reason}
}

// A serial number matches in every notation.
func TestRevokedSerialNumber(t *testing.T) {
	for text, want := range map[string]int{
		"4f3a": http.StatusForbidden, "4F:3A": http.StatusForbidden, "0x4f3A": http.StatusForbidden, "00:4f:3a": http.StatusForbidden,
		"4f3": http.StatusOK, "4f3a0": http.StatusOK, "14f3a": http.StatusOK, "20282": http.StatusOK,
	} {
		handler := newTestHandler(t, &Config{ClientCertificates: true, RevokedCertificates: []string{text}}, &recorder{})
		leaf, r := certificate("phone", -time.Hour, time.Hour), newRequest(nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
		if got := ask(handler, r).Code; got != want {
			t.Errorf("%s: status %d", text, got)
		}
	}
}
