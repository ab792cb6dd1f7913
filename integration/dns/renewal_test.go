package dns

import (
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	torture "github.com/immichaccess/immichaccess/integration/torture/harness"
)

// TestRenewal has certificates that live for 30 s, and a build of the proxy that looks after them every second.
func TestRenewal(t *testing.T) {
	t.Parallel()
	authority := startCA(t, map[string]any{"profiles": map[string]any{"default": map[string]any{"description": "", "validityPeriod": 30}}})
	hurried, err := torture.Hurried.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := authority.startProgram(t, hurried, dynamicUpdate(), "--domains=renewed.example.com", "--acme.dns.provider=rfc2136")
	before := p.awaitCertificate(t, "renewed.example.com")
	harness.Await(t, "another certificate", func() bool { now := p.certificate("renewed.example.com"); return now != nil && !now.Equal(before) })
	const line = `msg=certificate names=renewed.example.com from="ACME, by Pebble`
	if told := strings.Count(p.Log.String(), line); told < 2 {
		t.Errorf("the log tells of %d certificates", told)
	}
	if err := authority.Kill(); err != nil {
		t.Fatal(err)
	}
	const failed = "the certificate could not be renewed"
	harness.Await(t, "a line in the log", func() bool { return strings.Contains(p.Log.String(), failed) })
	for _, text := range []string{"level=ERROR", "domain=renewed.example.com", "the CA can't be reached", "valid_for=", "retrying="} {
		if told := first(p.Log.String(), failed); !strings.Contains(told, text) {
			t.Errorf("%q is not in %s", text, told)
		}
	}
}
