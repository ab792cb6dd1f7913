package metrics_test

import (
	"net/http"
	"os/exec"
	"slices"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// TestRules runs the documented check, and promtool's own tests of the alerting rules, which have the times that the other test can't wait for.
func TestRules(t *testing.T) {
	t.Parallel()
	harness.Tool(t, "promtool")
	for _, script := range []string{
		edit(t, documented(t, "sh"), "/etc/prometheus/", examples),
		"promtool test rules testdata/alerts_test.yml",
	} {
		if output, err := exec.Command("bash", "-euc", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, output)
		}
	}
}

// TestAlerts requires that each condition holds for the metrics of a real proxy whose certificate expires within the hour, which denies
// many requests, whose Immich stops, and which then stops itself.
func TestAlerts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.awaitAlert(t, "ImmichAccessCertificateExpires")
	s.whileSending(t, "alerts", func() bool {
		for range 10 {
			s.send(t, http.MethodGet, "https://"+s.https+"/", "", 0, http.StatusForbidden)
		}
		return slices.Contains(s.alerts(t), "ImmichAccessManyDenials")
	})
	if alerts := s.alerts(t); slices.Contains(alerts, "ImmichDown") || slices.Contains(alerts, "ImmichAccessDown") {
		t.Errorf("while all is up: %v", alerts)
	}
	s.immich.Close()
	s.awaitAlert(t, "ImmichDown")
	if err := s.proxy.Kill(); err != nil {
		t.Fatal(err)
	}
	s.awaitAlert(t, "ImmichAccessDown")
}

func (s *site) awaitAlert(t *testing.T, name string) {
	t.Helper()
	harness.Await(t, name, func() bool { return slices.Contains(s.alerts(t), name) })
}

// alerts are those whose condition holds, even if not yet for as long as the rule says.
func (s *site) alerts(t *testing.T) []string {
	t.Helper()
	var data struct {
		Alerts []struct{ Labels map[string]string }
	}
	s.ask(t, "alerts", nil, &data)
	var names []string
	for _, alert := range data.Alerts {
		names = append(names, alert.Labels["alertname"])
	}
	return names
}
