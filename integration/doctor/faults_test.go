package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/doctor"
)

// faults returns the IDs of problems and warnings, not of notes.
func faults(report *doctor.Report) []string {
	ids := []string{}
	for _, f := range report.Findings {
		if f.Level == doctor.Problem || f.Level == doctor.Warning {
			ids = append(ids, f.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// diagnose fails the test unless the doctor finds exactly these faults, and recognizes the proxy.
func diagnose(t *testing.T, report *doctor.Report, proxy doctor.Proxy, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := faults(report); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q\n%s", got, want, table(t, report))
	}
	if proxy != "" && !slices.Contains(report.Proxy, string(proxy)) {
		t.Errorf("took %s for %q\n%s", proxy, report.Proxy, table(t, report))
	}
	if report.Broken() != slices.ContainsFunc(report.Findings, func(f doctor.Finding) bool { return f.Level == doctor.Problem }) {
		t.Error("the verdict does not fit the findings")
	}
	for _, f := range report.Findings {
		if f.Title != "" && f.Level != doctor.Note && f.Fix == nil {
			t.Errorf("%s has no fix", f.ID)
		}
	}
	if text := table(t, report); strings.Contains(text, accessKey) {
		t.Errorf("the key is in the report:\n%s", text)
	}
}

// fault is one mistake in a correct configuration.
type fault struct {
	name    string
	edits   []string // old, new, old, new …; each old has to be there
	options func(*doctor.Options)
	hidden  bool // the proxy can't be recognized
	want    []string
	note    string // which is in the report, too
}

func (f fault) apply(t *testing.T, config string) string {
	t.Helper()
	for pair := range slices.Chunk(f.edits, 2) {
		if !strings.Contains(config, pair[0]) {
			t.Fatalf("the configuration has no %q to be replaced", pair[0])
		}
		config = strings.Replace(config, pair[0], pair[1], 1)
	}
	return config
}

// runFaults starts the proxy with each configuration, and with the correct one.
func runFaults(t *testing.T, proxy doctor.Proxy, good string, run func(t *testing.T, s *site, config string), all []fault) {
	t.Helper()
	all = append([]fault{
		{name: "good"},
		{name: "good and slow", options: slow},
	}, all...)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			run(t, s, s.fill(f.apply(t, good)))
			known := proxy
			if f.hidden {
				known = ""
			}
			report := s.examine(t, f.options)
			diagnose(t, report, known, f.want...)
			if f.note != "" && !slices.ContainsFunc(report.Findings, func(g doctor.Finding) bool { return g.ID == f.note && g.Level == doctor.Note }) {
				t.Errorf("%s was not noted\n%s", f.note, table(t, report))
			}
		})
	}
}

func slow(o *doctor.Options) { o.Slow = true }
