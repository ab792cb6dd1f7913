package metrics_test

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// TestDocumentation requires that the page lists the metrics that there are, with their labels, and the alerts.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	text := harness.ReadFile(t, page)
	s := newSite(t)
	var found string
	s.whileSending(t, "an interrupted transfer", func() bool {
		found = s.scrape(t)
		return strings.Contains(found, "aborted=")
	})

	documented := labels(regexp.MustCompile("`(immichaccess_\\w+)(?:{([\\w,]+)})?`").FindAllStringSubmatch(text, -1))
	exist := labels(regexp.MustCompile(`(?m)^(immichaccess_\w+)(?:{(.*)})? `).FindAllStringSubmatch(found, -1))
	if !maps.EqualFunc(documented, exist, slices.Equal) {
		t.Errorf("documented: %v\nthere are: %v", documented, exist)
	}

	alert := regexp.MustCompile(`(?m)- alert: (\w+)$`)
	row := regexp.MustCompile("(?m)^\\| `(Immich\\w+)` \\|")
	if shown, want := row.FindAllStringSubmatch(text, -1), alert.FindAllStringSubmatch(harness.ReadFile(t, examples+"alerts.yml"), -1); !slices.EqualFunc(
		shown, want, func(a, b []string) bool { return a[1] == b[1] }) {
		t.Errorf("documented alerts: %v, want %v", shown, want)
	}
}

func (s *site) scrape(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// labels returns the names of all labels of each metric.
func labels(matches [][]string) map[string][]string {
	all := map[string][]string{}
	for _, match := range matches {
		for _, label := range strings.FieldsFunc(match[2], func(r rune) bool { return r == ',' }) {
			name, _, _ := strings.Cut(label, "=")
			all[match[1]] = append(all[match[1]], name)
		}
		slices.Sort(all[match[1]])
		all[match[1]] = slices.Compact(all[match[1]])
	}
	return all
}
