package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

func TestFirstUseMakesAnAuthority(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "storage")
	first, created, err := Open(dir)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	for name, want := range map[string]os.FileMode{CAKeyFile: 0o600, CAFile: 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	again, created, err := Open(dir)
	if err != nil || created || !again.Certificate.Equal(first.Certificate) {
		t.Errorf("%t, %v", created, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// A certificate is for clients only, and so is its authority: it can't vouch for a server, or for another authority.
func TestCertificateIsForClients(t *testing.T) {
	t.Parallel()
	authority := newTestAuthority(t)
	certificate, err := authority.Issue("phone", time.Now(), time.Now().AddDate(0, 0, 825))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate)
	for usage, good := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false} {
		_, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}})
		if (err == nil) != good {
			t.Errorf("usage %d: %v", usage, err)
		}
	}
	if authority.Certificate.MaxPathLen != 0 || !authority.Certificate.MaxPathLenZero || certificate.Leaf.IsCA || certificate.Leaf.Subject.CommonName != "phone" {
		t.Errorf("%+v", certificate.Leaf)
	}
	if len(certificate.Serial()) != 32 || certificate.Leaf.SerialNumber.Sign() <= 0 {
		t.Errorf("serial number %s", certificate.Serial())
	}
	if _, err := authority.Issue("phone", time.Now(), time.Now().AddDate(11, 0, 0)); err == nil {
		t.Error("a certificate outlives its authority")
	}
}

func newTestAuthority(t *testing.T) *Authority {
	t.Helper()
	authority, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func TestSave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, err := newTestAuthority(t).Issue("phone", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p12File, pemFile, err := certificate.Save(dir, "phone", "correct-horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{p12File, pemFile} {
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	data, err := os.ReadFile(p12File)
	if err != nil {
		t.Fatal(err)
	}
	if _, leaf, _, err := pkcs12.DecodeChain(data, "correct-horse"); err != nil || !leaf.Equal(certificate.Leaf) {
		t.Errorf("%v", err)
	}
	if _, _, _, err := pkcs12.DecodeChain(data, "wrong"); err == nil {
		t.Error("any password reads it")
	}
	if pair, err := tls.LoadX509KeyPair(pemFile, pemFile); err != nil || !pair.Leaf.Equal(certificate.Leaf) {
		t.Errorf("%v", err)
	}

	if err := os.Remove(p12File); err != nil {
		t.Fatal(err)
	}
	if _, _, err := certificate.Save(dir, "phone", "correct-horse"); !os.IsExist(err) {
		t.Errorf("over the PEM file of another: %v", err)
	}
	if _, err := os.Stat(p12File); err == nil {
		t.Error("half of it was written")
	}
}

func TestOpenDoesNotReplaceWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string) error{
		"no key":              func(dir string) error { return os.Remove(filepath.Join(dir, CAKeyFile)) },
		"no certificate":      func(dir string) error { return os.Remove(filepath.Join(dir, CAFile)) },
		"key of another":      func(dir string) error { return otherKey(filepath.Join(dir, CAKeyFile)) },
		"half a certificate":  func(dir string) error { return os.Truncate(filepath.Join(dir, CAFile), 100) },
		"certificate of none": notAnAuthority,
		"expired":             expired,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if _, _, err := Open(dir); err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v", err)
			}
		})
	}
}

func otherKey(file string) error {
	other, err := NewAuthority()
	if err != nil {
		return err
	}
	text, err := keyPEM(other.key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func notAnAuthority(dir string) error {
	authority, err := NewAuthority()
	if err != nil {
		return err
	}
	leaf, err := authority.Issue("phone", time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	return write(dir, &Authority{leaf.Leaf, leaf.key})
}

func expired(dir string) error {
	authority, err := NewAuthority()
	if err != nil {
		return err
	}
	template := *authority.Certificate
	template.PublicKey = nil // a new one is made
	template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	old, err := newAuthority(&template)
	if err != nil {
		return err
	}
	return write(dir, old)
}

func write(dir string, a *Authority) error {
	key, err := keyPEM(a.key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, CAKeyFile), key, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, CAFile), a.PEM(), 0o600)
}

func TestParseCertificates(t *testing.T) {
	t.Parallel()
	one, two := newTestAuthority(t), newTestAuthority(t)
	key, err := keyPEM(one.key)
	if err != nil {
		t.Fatal(err)
	}
	both := "A comment\n" + string(one.PEM()) + string(key) + "\n" + string(two.PEM())
	if found, err := ParseCertificates([]byte(both)); err != nil || len(found) != 2 {
		t.Errorf("%d, %v", len(found), err)
	}
	for name, text := range map[string]string{
		"nothing": "", "a key": string(key), "not PEM": "certificate", "a broken one": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
		"half of the second": string(one.PEM()) + string(two.PEM()[:200]),
	} {
		if found, err := ParseCertificates([]byte(text)); err == nil {
			t.Errorf("%s: %d certificates", name, len(found))
		}
	}
}
