package metrics_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/text"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/immichaccess/immichaccess/integration/harness"
)

// classic is the schema that every version of Grafana imports; the next one needs Grafana 12.
type classic = dashboard.Dashboard //nolint:staticcheck // deprecated for dashboards that are generated

// readDashboard reads the dashboard by Grafana's own schema, which knows all fields.
func readDashboard(t *testing.T) *classic {
	t.Helper()
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(bargauge.VariantConfig())
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(text.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	content := []byte(harness.ReadFile(t, examples+"immichaccess.json"))
	// The error is never nil, but an empty list if all fields are known and none is missing; the result is then incomplete.
	if err := (&classic{}).UnmarshalJSONStrict(content); err != nil && err.Error() != "" {
		t.Fatal(err)
	}
	d := &classic{}
	if err := json.Unmarshal(content, d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

// panels are those with queries.
func panels(d *classic) []*dashboard.Panel {
	var all []*dashboard.Panel
	for _, p := range d.Panels {
		if p.Panel != nil && len(p.Panel.Targets) > 0 {
			all = append(all, p.Panel)
		}
	}
	return all
}

// TestDashboard requires that each panel shows data, with the labels that its legend names.
func TestDashboard(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	s := newSite(t)
	s.openWebSocket(t)
	s.checkInstances(t, d)
	shown := panels(d)
	if len(shown) < 10 {
		t.Fatalf("there are %d panels", len(shown))
	}
	for _, panel := range shown {
		t.Run(*panel.Title, func(t *testing.T) { s.showsData(t, panel) })
	}
}

// checkInstances requires that the variable has the proxy as its value.
func (s *site) checkInstances(t *testing.T, d *classic) {
	t.Helper()
	at := slices.IndexFunc(d.Templating.List, func(v dashboard.VariableModel) bool { return v.Name == "instance" })
	definition := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(*d.Templating.List[at].Definition)
	if definition == nil {
		t.Fatal(*d.Templating.List[at].Definition)
	}
	harness.Await(t, "the instance", func() bool {
		var values []string
		s.ask(t, "label/"+definition[2]+"/values", url.Values{"match[]": {definition[1]}}, &values)
		return slices.Equal(values, []string{s.admin})
	})
}

var legendLabel = regexp.MustCompile(`{{(\w+)}}`)

func (s *site) showsData(t *testing.T, panel *dashboard.Panel) {
	t.Helper()
	for _, target := range panel.Targets {
		target := target.(*prometheus.Dataquery)
		var result []sample
		s.whileSending(t, target.Expr, func() bool {
			result = s.query(t, fillIn(target.Expr))
			return len(result) > 0 && !slices.ContainsFunc(result, func(r sample) bool { return r.Value[1] == "NaN" })
		})
		for _, label := range legendLabel.FindAllStringSubmatch(*target.LegendFormat, -1) {
			if _, found := result[0].Metric[label[1]]; !found {
				t.Errorf("%s has no label %s: %v", target.Expr, label[1], result)
			}
		}
		t.Log(*target.LegendFormat, result)
	}
}

// fillIn does what Grafana does with variables.
func fillIn(expression string) string {
	return strings.NewReplacer("$instance", ".+", "$denied", "403", "$__rate_interval", "1m", "$__range", "1h").Replace(expression)
}
