package standalone

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"golang.org/x/crypto/ocsp"
)

// OCSP stapling. Few CAs still offer OCSP: Let's Encrypt no longer does.

func TestStapleReachesClients(t *testing.T) {
	t.Parallel()
	address := harness.FreeAddress(t)
	ca := harness.StartPebble(t, harness.PebbleOptions{OCSPResponder: "http://" + address})
	issuer, key := issuerOf(t, ca)
	serveStatus(t, address, issuer, key)
	startACME(t, ca, t.TempDir())

	awaitCertificate(t, ca.HTTPS)
	leaf, staple := harness.Handshake(ca.HTTPS, harness.Domain)
	status, err := ocsp.ParseResponseForCert(staple, leaf, issuer)
	if err != nil {
		t.Fatalf("%v in a staple of %d bytes", err, len(staple))
	}
	if status.Status != ocsp.Good {
		t.Errorf("the staple says %d", status.Status)
	}
}

// issuerOf returns the certificate and the key that Pebble signs certificates with.
func issuerOf(t *testing.T, ca *harness.Pebble) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	certBlock, _ := pem.Decode(manage(t, ca, "/intermediates/0"))
	keyBlock, _ := pem.Decode(manage(t, ca, "/intermediate-keys/0"))
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS1PrivateKey(keyBlock.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// serveStatus responds that every certificate is good.
func serveStatus(t *testing.T, address string, issuer *x509.Certificate, key crypto.Signer) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		request, err := ocsp.ParseRequest(body)
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{
			Status: ocsp.Good, SerialNumber: request.SerialNumber,
			ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour),
		}, key)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(w, bytes.NewReader(answer))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

// TestOCSPResponderDown has responders that fail. Clients must not have to wait for them.
func TestOCSPResponderDown(t *testing.T) {
	t.Parallel()
	hanging, err := net.Listen("tcp", harness.FreeAddress(t)) // the kernel accepts connections, but nothing reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hanging.Close() })
	for name, responder := range map[string]string{"refused": harness.FreeAddress(t), "hanging": hanging.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := harness.StartPebble(t, harness.PebbleOptions{OCSPResponder: "http://" + responder})
			_, log := startFastRenewal(t, ca)
			awaitCertificate(t, ca.HTTPS)
			if _, staple := harness.Handshake(ca.HTTPS, harness.Domain); staple != nil {
				t.Error("there is a staple")
			}
			harness.Await(t, "the log to say why", func() bool { return log.Contains("stapling") })
		})
	}
}
