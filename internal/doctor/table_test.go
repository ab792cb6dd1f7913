package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func sample() *Report {
	e := &examination{Options: Options{Key: testKey}, report: &Report{URL: "https://photos.example.com"}}
	e.passed("address", areaName, "203.0.113.7, 2001:db8::1")
	e.skipped("upload-time", areaUpload, "--slow tests how long one may take, in 1m10s")
	e.add(Finding{ID: "links-closed", Level: Note, Area: areaLinks, Title: "Shared links open only with the key", Breaks: "Friends can't open them."})
	e.add(Finding{ID: "media-compressed", Level: Warning, Area: areaMedia, Title: "Pictures are compressed once more", Seen: "gzip"})
	e.add(Finding{
		ID: "upload-limit", Level: Problem, Area: areaUpload, Title: "Uploads over 1 MB are refused",
		Seen:   "a larger one: 413 Request Entity Too Large\x1b[2J, with " + testKey,
		Breaks: "Most videos and many photos will not upload from the app.",
	})
	e.report.finish(guess{proxies: []Proxy{Nginx}, traces: "Server: nginx/1.22.1"}, e.redact)
	return e.report
}

func printed(t *testing.T, r *Report, style Style) string {
	t.Helper()
	var text strings.Builder
	if err := r.WriteTable(&text, style); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

const wantTable = `
https://photos.example.com
answered by nginx (Server: nginx/1.22.1)

✗ Uploads over 1 MB are refused                                     upload-limit
  seen    a larger one: 413 Request Entity Too Large [2J, with ****
  breaks  Most videos and many photos will not upload from the app.
  change  nginx.conf or sites-enabled/…, in the server block of Immich
            client_max_body_size 50000M;

! Pictures are compressed once more                             media-compressed
  seen    gzip
  change  nginx.conf or sites-enabled/…, in the server block of Immich
            gzip_types text/css application/javascript application/json;

i Shared links open only with the key                               links-closed
  means   Friends can't open them.
  change  the proxy
            exempt from the key what docs/clients.md lists for shared links

✓ Name            203.0.113.7, 2001:db8::1
– Uploads         --slow tests how long one may take, in 1m10s

1 problem to fix, and 1 thing could be better.
`

func TestTable(t *testing.T) {
	t.Parallel()
	if got := printed(t, sample(), Style{Width: 80}); got != wantTable {
		t.Errorf("got\n%s", got)
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80, 100, 300} {
		r := sample()
		for id, all := range remedies {
			for proxy, remedy := range all {
				remedy.Proxy = string(proxy)
				r.Findings = append(r.Findings, Finding{ID: id, Level: Warning, Title: "A title of some length that says what is wrong " + id, Fix: &remedy})
			}
		}
		for line := range strings.Lines(printed(t, r, Style{Width: width})) {
			if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > min(width, widest) && len(strings.Fields(line)) > 1 {
				t.Errorf("%d columns: %s", width, line)
			}
		}
	}
}

func TestColorsAreAskedFor(t *testing.T) {
	t.Parallel()
	if strings.Contains(printed(t, sample(), Style{Width: 80}), "\x1b") {
		t.Error("colours without being asked")
	}
	colored := printed(t, sample(), Style{Width: 80, Color: true})
	if stripped := regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(colored, ""); stripped != wantTable {
		t.Errorf("colours change the text:\n%s", stripped)
	}
	if !strings.Contains(colored, "\x1b[31m✗") {
		t.Error("a problem is not red")
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	if err := sample().WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Proxy    []string
		Verdict  string
		Findings []struct {
			ID, Level string
			Fix       struct{ Lines []string }
		}
	}
	if err := json.Unmarshal([]byte(text.String()), &got); err != nil {
		t.Fatal(err)
	}
	first := got.Findings[0]
	if first.ID != "upload-limit" || first.Level != "problem" || first.Fix.Lines[0] != "client_max_body_size 50000M;" || got.Proxy[0] != "nginx" {
		t.Errorf("%s", text.String())
	}
	if strings.Contains(text.String(), testKey) {
		t.Error("the key is in it")
	}
}

// TestEachFindingIsDocumented finds the IDs in the source, so that a new one is not forgotten.
func TestEachFindingIsDocumented(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?:ID:|f\.ID, f\.Title =) +"([a-z0-9-]+)"`).FindAllSubmatch(source, -1) {
			ids = append(ids, string(match[1]))
		}
	}
	if len(ids) < 40 {
		t.Fatalf("only %d IDs found", len(ids))
	}
	for _, id := range ids {
		if !strings.Contains(string(docs), "`"+id+"`") {
			t.Errorf("docs/doctor.md does not explain %s", id)
		}
	}
	for id, all := range remedies {
		if !slices.Contains(ids, id) {
			t.Errorf("there is a remedy for %s, which nothing finds", id)
		}
		for proxy, remedy := range all {
			for _, line := range remedy.Lines {
				if proxy != "" && strings.ContainsAny(line, "${};") && !strings.Contains(string(docs), line) {
					t.Errorf("docs/doctor.md lacks %s's remedy for %s: %s", proxy, id, line)
				}
			}
		}
	}
}
