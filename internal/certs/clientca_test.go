package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// signed is a certificate with its key.
type signed struct {
	*x509.Certificate

	key *ecdsa.PrivateKey
}

// sign makes a certificate for clients, unless it is changed; it is self-signed without an issuer.
func (issuer *signed) sign(t *testing.T, change func(*x509.Certificate)) *signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "phone"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	change(template)
	parent, parentKey := template, key
	if issuer != nil {
		parent, parentKey = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signed{certificate, key}
}

func authority(c *x509.Certificate) { c.IsCA, c.ExtKeyUsage, c.Subject.CommonName = true, nil, "CA" }

func TestClientCAVerifies(t *testing.T) {
	t.Parallel()
	root := (*signed)(nil).sign(t, authority)
	between := root.sign(t, authority)
	file := filepath.Join(t.TempDir(), "client-ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	ca, err := OpenClientCA(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	phone := between.sign(t, func(*x509.Certificate) {})
	for name, c := range map[string]struct {
		sent []*x509.Certificate
		good bool
	}{
		"of the authority":         {chain(root.sign(t, func(*x509.Certificate) {})), true},
		"over another":             {chain(phone, between), true},
		"over another, not sent":   {chain(phone), false},
		"for servers":              {chain(root.sign(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), false},
		"signed by a client":       {chain(phone.sign(t, func(*x509.Certificate) {}), phone, between), false},
		"self-signed":              {chain((*signed)(nil).sign(t, func(*x509.Certificate) {})), false},
		"not valid yet":            {chain(root.sign(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), false},
		"expired":                  {chain(root.sign(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), false},
		"over one that has passed": {chain(expiredBetween(t, root)...), false},
		"more than anybody has":    {append(chain(phone, between), slices.Repeat(chain(between), mostChain)...), false},
		"larger than anybody's":    {chain(root.sign(t, func(c *x509.Certificate) { c.Subject.Organization = []string{string(make([]byte, mostChainBytes))} })), false},
	} {
		for range 2 { // the second time, the result is remembered
			if got := verifiedBy(ca, c.sent); got != c.good {
				t.Errorf("%s: %t", name, got)
			}
		}
	}
}

func expiredBetween(t *testing.T, root *signed) []*signed {
	t.Helper()
	between := root.sign(t, func(c *x509.Certificate) { authority(c); c.NotAfter = time.Now().Add(-time.Minute) })
	return []*signed{between.sign(t, func(*x509.Certificate) {}), between}
}

func chain(certificates ...*signed) []*x509.Certificate {
	var sent []*x509.Certificate
	for _, c := range certificates {
		sent = append(sent, c.Certificate)
	}
	return sent
}

// verifiedBy is what a handler sees of a request with the certificates.
func verifiedBy(ca *ClientCA, sent []*x509.Certificate) (verified bool) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: sent}
	shared := r.TLS
	ca.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		verified = len(r.TLS.VerifiedChains) > 0
	})).ServeHTTP(httptest.NewRecorder(), r)
	return verified && shared.VerifiedChains == nil
}

// The results that are remembered are bounded.
func TestClientCARemembersSoMany(t *testing.T) {
	t.Parallel()
	root := (*signed)(nil).sign(t, authority)
	ca := &ClientCA{logger: slog.New(slog.DiscardHandler), polled: time.Now().Add(time.Hour)}
	ca.use(chain(root))
	foreign := (*signed)(nil).sign(t, func(*x509.Certificate) {})
	for i := range 3 * mostVerified {
		raw := append(slices.Clone(foreign.Raw), byte(i), byte(i>>8))
		sent := *foreign.Certificate
		sent.Raw = raw
		ca.verify([]*x509.Certificate{&sent})
		if len(ca.verified) > mostVerified {
			t.Fatalf("%d are remembered", len(ca.verified))
		}
	}
}
