package dns

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// TestRenewal has certificates that live for 30 s, and a build of the proxy that looks after them every second.
func TestRenewal(t *testing.T) {
	t.Parallel()
	authority := startCA(t, map[string]any{"profiles": map[string]any{"default": map[string]any{"description": "", "validityPeriod": 30}}})
	storage := filepath.Join(t.TempDir(), "storage")
	p := authority.startProgram(t, harness.FastRenewal.Build(t), dynamicUpdate(), "--acme.storage="+storage, "--domains=renewed.example.com", "--acme.dns.provider=rfc2136")
	before := p.awaitCertificate(t, "renewed.example.com")
	harness.Await(t, "another certificate", func() bool { now := p.certificate("renewed.example.com"); return now != nil && !now.Equal(before) })
	const line = `msg=certificate names=renewed.example.com from="ACME, by Pebble`
	if told := strings.Count(p.Log.String(), line); told < 2 {
		t.Errorf("the log tells of %d certificates", told)
	}
	p.wantRenewalFailure(t, "acme.storage can't be written to", func() {
		if err := errors.Join(os.Rename(storage, storage+"-aside"), os.Symlink("/nowhere/at/all", storage)); err != nil { // which stops root, too
			t.Fatal(err)
		}
	})
	if err := errors.Join(os.Remove(storage), os.Rename(storage+"-aside", storage)); err != nil {
		t.Fatal(err)
	}
	p.wantRenewalFailure(t, "the CA can't be reached", func() {
		if err := authority.Kill(); err != nil {
			t.Fatal(err)
		}
	})
}

func (p *proxy) wantRenewalFailure(t *testing.T, cause string, fail func()) {
	t.Helper()
	mark := len(p.Log.String())
	fail()
	line := ""
	harness.Await(t, "a line in the log", func() bool { line = first(p.Log.String()[mark:], cause); return line != "" })
	t.Log(line)
	for _, text := range []string{"level=ERROR", "the certificate could not be renewed", "domain=renewed.example.com", "valid_for=", "retrying"} {
		if !strings.Contains(line, text) {
			t.Errorf("the line does not say %q", text)
		}
	}
}
