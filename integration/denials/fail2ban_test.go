package denials

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

func TestFail2ban(t *testing.T) {
	harness.Tool(t, "fail2ban-regex")
	for name, makeLog := range logs {
		t.Run(name, func(t *testing.T) {
			text := makeLog(t)
			file := filepath.Join(t.TempDir(), "log")
			write(t, file, text)
			found := strings.Fields(run(t, "fail2ban-regex", "-o", "ip", file, examples+"/fail2ban/filter.d/immichaccess.conf"))
			wantAddresses(t, found)
			want := 0
			for line := range strings.Lines(text) {
				if countLines(line, attacker4)+countLines(line, attacker6) > 0 {
					want++
				}
			}
			if len(found) != want || want < 2*attempts {
				t.Errorf("%d lines match, want all %d:\n%s", len(found), want, text)
			}
		})
	}
}

// fail2ban reads a line of the journal with the names of host and program in front.
func TestFail2banInTheJournal(t *testing.T) {
	harness.Tool(t, "fail2ban-regex")
	line := proxyLine(t)
	found := run(t, "fail2ban-regex", "-o", "ip", "photos immichaccess[123]: "+line, examples+"/fail2ban/filter.d/immichaccess.conf")
	if got := strings.TrimSpace(found); got != attacker4 {
		t.Errorf("%q is found in %s", got, line)
	}
}

func proxyLine(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(proxyLog(t, "text")) {
		if strings.Contains(line, "client="+attacker4) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatal("no line")
	return ""
}

// The jail is loaded beside the distribution's configuration.
func TestFail2banJail(t *testing.T) {
	harness.Tool(t, "fail2ban-client")
	config := t.TempDir()
	run(t, "cp", "-r", "/etc/fail2ban/.", config)
	for _, name := range []string{"filter.d/immichaccess.conf", "jail.d/immichaccess.conf"} {
		copyFile(t, examples+"/fail2ban/"+name, filepath.Join(config, name))
	}
	write(t, filepath.Join(config, "jail.d/defaults-debian.conf"), "[sshd]\nenabled = false\n")
	shown := run(t, "fail2ban-client", "-c", config, "-d")
	for _, want := range []string{`['add', 'immichaccess', 'systemd']`, `['set', 'immichaccess', 'maxretry', 15]`, "level=WARN msg=denied", "_SYSTEMD_UNIT=immichaccess.service"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is not in the configuration:\n%s", want, shown)
		}
	}
}
