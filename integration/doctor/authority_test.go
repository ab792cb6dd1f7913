package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// ca is a certificate authority with an intermediate, like the public ones.
type ca struct {
	root, intermediate       *x509.Certificate
	rootKey, intermediateKey *ecdsa.PrivateKey
	url                      string // where the intermediate can be downloaded
}

// pemChain is a certificate, its chain and its key.
type pemChain struct {
	certificates, key []byte
}

// order is how a certificate differs from a valid one.
type order struct {
	ip                  net.IP
	from, until         time.Time
	withoutIntermediate bool
	selfSigned          bool
}

func usual() order {
	return order{ip: net.IPv4(127, 0, 0, 1), from: time.Now().Add(-time.Hour), until: time.Now().Add(90 * 24 * time.Hour)}
}

func authority(t *testing.T) *ca {
	t.Helper()
	c := &ca{rootKey: newKey(t), intermediateKey: newKey(t)}
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(c.intermediate.Raw) }))
	t.Cleanup(served.Close)
	c.url = served.URL
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-24 * time.Hour * 365), NotAfter: time.Now().Add(24 * time.Hour * 365), KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root := template("Test Root")
	c.root = sign(t, root, root, c.rootKey, c.rootKey)
	c.intermediate = sign(t, template("Test Intermediate"), c.root, c.intermediateKey, c.rootKey)
	return c
}

func (c *ca) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.root)
	return pool
}

func (c *ca) issue(t *testing.T, o order) pemChain {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "photos.example.com"}, IPAddresses: []net.IP{o.ip},
		NotBefore: o.from, NotAfter: o.until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IssuingCertificateURL: []string{c.url},
	}
	parent, parentKey := c.intermediate, c.intermediateKey
	if o.selfSigned {
		parent, parentKey = template, key
	}
	leaf := sign(t, template, parent, key, parentKey)
	chain := pemChain{certificates: encode("CERTIFICATE", leaf.Raw)}
	if !o.withoutIntermediate && !o.selfSigned {
		chain.certificates = append(chain.certificates, encode("CERTIFICATE", c.intermediate.Raw)...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain.key = encode("PRIVATE KEY", der)
	return chain
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
