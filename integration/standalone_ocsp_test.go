package integration

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// What authorities say about certificates that they have issued. Few still do: Let's Encrypt has ended it.

func TestStapleReachesClients(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	a := startAuthority(t, map[string]any{"ocspResponderURL": "http://" + address})
	issuer, key := a.issuer(t)
	serveStatus(t, address, issuer, key)
	startStandalone(t, a, t.TempDir())

	awaitCertificate(t, a.https)
	leaf, staple := handshake(a.https, domain)
	status, err := ocsp.ParseResponseForCert(staple, leaf, issuer)
	if err != nil {
		t.Fatalf("%v in a staple of %d bytes", err, len(staple))
	}
	if status.Status != ocsp.Good {
		t.Errorf("the staple says %d", status.Status)
	}
}

// issuer returns what Pebble signs certificates with.
func (a *authority) issuer(t *testing.T) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	certBlock, _ := pem.Decode(a.ask(t, "/intermediates/0"))
	keyBlock, _ := pem.Decode(a.ask(t, "/intermediate-keys/0"))
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

// serveStatus answers that every certificate is good.
func serveStatus(t *testing.T, address string, issuer *x509.Certificate, key crypto.Signer) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		request, err := ocsp.ParseRequest(question)
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

// TestNobodyTellsTheStatus has responders that clients must not have to wait for.
func TestNobodyTellsTheStatus(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", freeAddress(t)) // the kernel connects, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, responder := range map[string]string{"refused": freeAddress(t), "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startAuthority(t, map[string]any{"ocspResponderURL": "http://" + responder})
			_, log := startHurried(t, a)
			awaitCertificate(t, a.https)
			if _, staple := handshake(a.https, domain); staple != nil {
				t.Error("there is a staple")
			}
			await(t, "the log to tell why", func() bool { return strings.Contains(log.String(), "stapling") })
		})
	}
}
