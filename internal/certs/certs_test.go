package certs

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/filewatch"
	"github.com/immichaccess/immichaccess/internal/testlog"
	"github.com/mholt/acmez/v3/acme"
)

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	source, err := Open(t.Context(), config.Defaults(), Ports{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := source.TLS.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := cert.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if _, known := source.Expiry()["localhost"]; !known {
		t.Errorf("%v", source.Expiry())
	}
}

// writePair writes a new certificate and returns it. The time of the files is given, since clocks of file systems are coarse.
func writePair(t *testing.T, files config.TLS, changed time.Time) *x509.Certificate {
	t.Helper()
	cert, err := selfSign()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		files.CertFile: {Type: "CERTIFICATE", Bytes: cert.Leaf.Raw},
		files.KeyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	return cert.Leaf
}

// unreadFiles is for files that will be written.
func unreadFiles(files config.TLS) *fileCertificate {
	return &fileCertificate{files: files, logger: slog.New(slog.DiscardHandler), watch: filewatch.New(files.CertFile, files.KeyFile)}
}

func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	files := config.TLS{CertFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem")}
	f := unreadFiles(files)
	first := writePair(t, files, time.Unix(1, 0))
	shows := func(want *x509.Certificate, when string) {
		t.Helper()
		f.poll()
		f.poll() // one that was written just now counts when it has settled
		if !f.cert.Leaf.Equal(want) {
			t.Errorf("%s: not the certificate it should be", when)
		}
	}

	shows(first, "at the start")
	second := writePair(t, files, time.Unix(2, 0))
	shows(second, "after a change")
	if err := os.WriteFile(files.CertFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	shows(second, "with a broken file")
	shows(writePair(t, files, time.Unix(3, 0)), "when it is whole again")
}

func TestZeroSSLBindsAccountsByMail(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"success": r.FormValue("email") == "me@example.com", "eab_kid": "kid", "eab_hmac_key": "hmac"})
	}))
	t.Cleanup(api.Close)
	issuer := &certmagic.ACMEIssuer{Email: "me@example.com"}
	if _, err := (zeroSSL{api.URL}).bindAccount(t.Context(), issuer, acme.Account{}); err != nil {
		t.Fatal(err)
	}
	if *issuer.ExternalAccount != (acme.EAB{KeyID: "kid", MACKey: "hmac"}) {
		t.Errorf("%+v", issuer.ExternalAccount)
	}
	issuer.Email = "nobody"
	if _, err := (zeroSSL{api.URL}).bindAccount(t.Context(), issuer, acme.Account{}); err == nil {
		t.Error("a refusal is no error")
	}
}

// TestFilesAreReadByMany is for the race detector.
func TestFilesAreReadByMany(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	files := config.TLS{CertFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem")}
	f := unreadFiles(files) // so that each of the first would read them
	writePair(t, files, time.Unix(1, 0))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if cert, err := f.get(nil); cert == nil || err != nil {
				t.Errorf("%v, %v", cert, err)
			}
			f.expiry()
		})
	}
	all.Wait()
}

// TestOrderIsTriedAgain begins with a storage that can't be written to. No CA answers: the test only checks that the order gets
// that far.
func TestOrderIsTriedAgain(t *testing.T) {
	t.Parallel()
	storage := filepath.Join(temporaryDirectory(t), "storage")
	if err := os.Symlink("/nowhere/at/all", storage); err != nil { // which stops root, too
		t.Fatal(err)
	}
	settings := config.Defaults()
	settings.Domains = []string{"photos.example.com"}
	settings.ACME = config.ACME{Server: "https://127.0.0.1:1/dir", Storage: storage}
	log := &testlog.Log{}
	if _, err := Open(t.Context(), settings, Ports{HTTPS: 1}, slog.New(slog.NewTextHandler(log, nil))); err != nil {
		t.Fatal(err)
	}
	log.Await(t, "acme.storage can't be written to")
	if err := os.Remove(storage); err != nil {
		t.Fatal(err)
	}
	log.Await(t, "the CA can't be reached")
}

// temporaryDirectory returns one that is removed even while certmagic, which ends orders in the background, still writes to it.
func temporaryDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "immichaccess")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if err := os.RemoveAll(directory); err == nil || time.Now().After(deadline) {
				return
			}
		}
	})
	return directory
}
