package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"time"
)

const selfSignedLife = 397 * 24 * time.Hour // browsers reject certificates with a longer lifetime

func openSelfSigned(logger *slog.Logger) (*Source, error) {
	cert, err := selfSign()
	if err != nil {
		return nil, err
	}
	logger.Warn("the certificate is self-signed, for localhost: clients will not trust it; set domains, or tls.certFile and tls.keyFile")
	logCertificate(logger, cert.Leaf, "self-signed")
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
	expiry := func() map[string]time.Time { return expiryOf(cert.Leaf) }
	return &Source{TLS: newTLS(get), Challenge: unchanged, Expiry: expiry}, nil
}

func selfSign() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ
		NotAfter:     time.Now().Add(selfSignedLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

func expiryOf(leaf *x509.Certificate) map[string]time.Time {
	name := leaf.Subject.CommonName
	if len(leaf.DNSNames) > 0 {
		name = leaf.DNSNames[0]
	}
	return map[string]time.Time{name: leaf.NotAfter}
}
