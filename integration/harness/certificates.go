package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Domain is the name that the tests use for the site.
const Domain = "photos.example.com"

// WriteCertificate makes a self-signed certificate for 127.0.0.1, localhost and the names, which is valid for an hour.
func WriteCertificate(t testing.TB, certFile, keyFile string, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: append([]string{"localhost"}, names...),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	WriteFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	WriteFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// Handshake returns the certificate that a server presents to a client that requests the name, nil for none, and the OCSP
// response stapled to it.
func Handshake(address, name string) (leaf *x509.Certificate, staple []byte) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	config := AnyCertificate()
	config.ServerName = name
	conn, err := tls.DialWithDialer(dialer, "tcp", address, config)
	if err != nil {
		return nil, nil
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0], conn.OCSPResponse()
}

// Certificate returns the certificate that a server presents to a client that requests the name, nil for none.
func Certificate(address, name string) *x509.Certificate {
	leaf, _ := Handshake(address, name)
	return leaf
}

// CertPool has the certificates of a PEM file's content.
func CertPool(t testing.TB, content string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(content)) {
		t.Fatalf("no certificate: %s", content)
	}
	return pool
}
