package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCert(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, first, errOut := runCommand("cert", "anna-phone", "--dir="+dir)
	if code != exitGood || !strings.Contains(first, "There is a new certificate authority") {
		t.Fatalf("exit code %d\n%s\n%s", code, first, errOut)
	}
	pemFile := filepath.Join(dir, "client-certificates", "anna-phone.pem")
	pair, err := tls.LoadX509KeyPair(pemFile, pemFile)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().AddDate(0, 0, 825).Format(time.DateOnly)
	for _, want := range []string{
		"valid until " + until, pemFile, "anna-phone.p12", "--access.revokedCertificates=" + pair.Leaf.SerialNumber.Text(16),
		"--tls.clientCA=" + filepath.Join(dir, "client-ca.pem") + " --access.clientCertificates=true",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("it does not say %q:\n%s", want, first)
		}
	}

	code, second, _ := runCommand("cert", "--days", "30", "--dir", dir, "tablet")
	if code != exitGood || strings.Contains(second, "new certificate authority") || !strings.Contains(second, time.Now().AddDate(0, 0, 30).Format(time.DateOnly)) {
		t.Errorf("exit code %d\n%s", code, second)
	}

	before, err := os.ReadFile(pemFile)
	if err != nil {
		t.Fatal(err)
	}
	code, out, errOut := runCommand("cert", "anna-phone", "--dir="+dir)
	if code != exitFailed || out != "" || !strings.Contains(errOut, "anna-phone.p12: file exists; choose another name") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
	if after, err := os.ReadFile(pemFile); err != nil || string(after) != string(before) {
		t.Errorf("the files of the first were changed: %v", err)
	}
}

// The directory is acme.storage, even of a configuration that can't start yet, since it names the CA that is about to be
// created.
func TestCertFindsStorage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storage := filepath.Join(dir, "storage")
	file := filepath.Join(dir, "immichaccess.yml")
	text := "acme: {storage: " + storage + "}\ntls: {clientCA: " + filepath.Join(storage, "client-ca.pem") + "}\naccess: {clientCertificates: true}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := runCommand("check", "--configFile="+file); code != exitUsage || !strings.Contains(errOut, "tls.clientCA: open") {
		t.Errorf("exit code %d\n%s", code, errOut)
	}
	if code, out, errOut := runCommand("cert", "phone", "--configFile="+file); code != exitGood || !strings.Contains(out, storage) {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
	if code, _, errOut := runCommand("check", "--configFile="+file); code != exitGood {
		t.Errorf("exit code %d\n%s", code, errOut)
	}
}
