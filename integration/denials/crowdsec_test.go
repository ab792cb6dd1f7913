package denials

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// hub is where Debian's package has the files that come with CrowdSec.
const hub = "/usr/share/crowdsec/hub"

// crowdSecConfig loads only our parser, our scenario, and the two parsers of CrowdSec's that they need. It does not use the
// Central API.
const crowdSecConfig = `common: {daemonize: false, log_media: stdout, log_level: info, working_dir: DIR}
config_paths:
  config_dir: DIR/
  data_dir: DIR/data/
  simulation_path: DIR/simulation.yaml
  hub_dir: ` + hub + `
  index_path: ` + hub + `/.index.json
crowdsec_service: {parser_routines: 1, acquisition_path: DIR/acquis.yaml}
db_config: {type: sqlite, db_path: DIR/data/crowdsec.db, use_wal: false}
api:
  client: {credentials_path: DIR/credentials.yaml}
  server: {listen_uri: ADDRESS, profiles_path: DIR/profiles.yaml}
prometheus: {enabled: false}
`

// newCrowdSec returns the path of the configuration.
func newCrowdSec(t *testing.T) string {
	t.Helper()
	harness.Tool(t, "crowdsec")
	harness.Tool(t, "cscli")
	dir, address := t.TempDir(), harness.FreeAddress(t)
	run(t, "cp", "-r", "/etc/crowdsec/patterns", dir)
	for to, from := range map[string]string{
		"profiles.yaml":                            "/etc/crowdsec/profiles.yaml",
		"simulation.yaml":                          "/etc/crowdsec/simulation.yaml",
		"parsers/s00-raw/syslog-logs.yaml":         hub + "/parsers/s00-raw/crowdsecurity/syslog-logs.yaml",
		"parsers/s01-parse/immichaccess.yaml":      examples + "/crowdsec/parsers/s01-parse/immichaccess.yaml",
		"parsers/s02-enrich/dateparse-enrich.yaml": hub + "/parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml",
		"scenarios/immichaccess.yaml":              examples + "/crowdsec/scenarios/immichaccess.yaml",
		"acquis.yaml":                              examples + "/crowdsec/acquis.d/immichaccess.yaml",
	} {
		copyFile(t, from, filepath.Join(dir, to))
	}
	write(t, filepath.Join(dir, "data/README"), "CrowdSec's database\n")
	write(t, filepath.Join(dir, "credentials.yaml"), "")
	config := filepath.Join(dir, "config.yaml")
	write(t, config, strings.NewReplacer("DIR", dir, "ADDRESS", address).Replace(crowdSecConfig))
	run(t, "cscli", "-c", config, "machines", "add", "test", "--password", "test", "--url", "http://"+address, "--force")
	return config
}

var verdict = regexp.MustCompile(`immichaccess/no-key by ip ([0-9a-f:.]+) : \w+ ban on Ip`)

// replay returns the addresses that CrowdSec bans after it has read a log.
func replay(t *testing.T, kind, text string) (banned []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	write(t, file, text)
	output, err := exec.CommandContext(t.Context(), "crowdsec", "-c", newCrowdSec(t), "-dsn", "file://"+file, "-type", kind).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, match := range verdict.FindAllSubmatch(output, -1) {
		banned = append(banned, string(match[1]))
	}
	t.Logf("%s", output)
	return banned
}

func TestCrowdSec(t *testing.T) {
	for name, makeLog := range logs {
		t.Run(name, func(t *testing.T) {
			wantAddresses(t, replay(t, "immichaccess", makeLog(t)))
		})
	}
}

// CrowdSec reads the journal as syslog.
func TestCrowdSecInTheJournal(t *testing.T) {
	var journal strings.Builder
	for line := range strings.Lines(proxyLog(t, "text")) {
		journal.WriteString("Nov 24 20:24:18 photos immichaccess[123]: " + line)
	}
	wantAddresses(t, replay(t, "syslog", journal.String()))
}

// The configuration is loaded as the service does it, with the log files of the example.
func TestCrowdSecConfiguration(t *testing.T) {
	config := newCrowdSec(t)
	output, err := exec.CommandContext(t.Context(), "crowdsec", "-c", config, "-t").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}
