// Package clientcert makes client certificates, and the certificate authority (CA) that signs them.
package clientcert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const (
	// authorityLife is long, since a new authority means a new certificate for every device.
	authorityLife = 10 * 365 * 24 * time.Hour
	// clockSkew is how far behind the clock of a device may be.
	clockSkew = time.Hour
)

// Authority signs client certificates.
type Authority struct {
	Certificate *x509.Certificate

	key *ecdsa.PrivateKey
}

// NewAuthority makes an authority that can sign client certificates only, even on devices that would trust it for more.
func NewAuthority() (*Authority, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return newAuthority(&x509.Certificate{
		SerialNumber: serial,
		// Browsers choose a certificate by the name of who signed it, so no two authorities have the same.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("immichaccess client CA %.8s", serial.Text(16))},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	})
}

func newAuthority(template *x509.Certificate) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	return &Authority{certificate, key}, err
}

// Issue makes a certificate for the client of that name.
func (a *Authority) Issue(name string, from, until time.Time) (*Certificate, error) {
	if until.After(a.Certificate.NotAfter) {
		return nil, fmt.Errorf("the CA itself is valid until %s", a.Certificate.NotAfter.Format(time.DateOnly))
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             from.Add(-clockSkew),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, a.Certificate, &key.PublicKey, a.key)
	return &Certificate{leaf, key}, err
}

// newSerial returns a random number, as RFC 5280, section 4.1.2.2, wants it: positive, up to 20 octets.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	return serial.SetBit(serial, 126, 1), nil // so that all are of the same length
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// PEM returns the authority's certificate.
func (a *Authority) PEM() []byte {
	return certificatePEM(a.Certificate)
}

// Certificate is one of a client's, with its key.
type Certificate struct {
	Leaf *x509.Certificate

	key *ecdsa.PrivateKey
}

// Serial returns the serial number in hex.
func (c *Certificate) Serial() string {
	return c.Leaf.SerialNumber.Text(16)
}

// TLS returns the certificate as crypto/tls takes it.
func (c *Certificate) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Leaf.Raw}, PrivateKey: c.key, Leaf: c.Leaf}
}

// PEM returns certificate and key.
func (c *Certificate) PEM() ([]byte, error) {
	key, err := keyPEM(c.key)
	return append(certificatePEM(c.Leaf), key...), err
}

// PKCS12 returns certificate and key in the form that phones import. Its encryption is an old one, since no newer one is
// supported by both Android and iOS; it is as strong as the password.
func (c *Certificate) PKCS12(password string) ([]byte, error) {
	return pkcs12.LegacyDES.Encode(c.key, c.Leaf, nil, password)
}

func certificatePEM(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

// ParseCertificates reads every certificate of a PEM file. It is an error if there is none.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, errors.New("it holds no certificate; allowed is a PEM file")
	}
	if len(bytes.TrimSpace(text)) > 0 && bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----")) {
		return nil, errors.New("a certificate in it can't be read")
	}
	return found, nil
}
