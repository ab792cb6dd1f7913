package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary run as the relay, as the program does.
func TestMain(m *testing.M) {
	if isFloor(os.Args) {
		fatal(runFloor(os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
		return
	}
	os.Exit(m.Run())
}

// TestRunMeasuresEveryPeer runs a small comparison with what is in Debian, and reads what it writes.
func TestRunMeasuresEveryPeer(t *testing.T) {
	dir := t.TempDir()
	o := small("floor,ours,nginx,nginx-tuned,haproxy", loadNames()...)
	o.parts = "keys,open connections,start"
	o.json, o.plot, o.page = filepath.Join(dir, "results.json"), filepath.Join(dir, "plot.svg"), filepath.Join(dir, "page.md")
	write(t, o.page, "before\n"+figuresBegin+"old\n"+figuresEnd+"after\n")
	for i := range dimensions { // fewer connections
		if dimensions[i].of == "open connections" {
			dimensions[i].at = []int{1, 20}
		}
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal([]byte(read(t, o.json)), &got); err != nil {
		t.Fatal(err)
	}
	wantFigures(t, &got, map[string]int{"floor": 4, "ours": len(loads), "nginx": 7, "nginx-tuned": 7, "haproxy": 7})
	for _, g := range got.Growth {
		for _, p := range g.Points {
			if p.Median <= 0 || p.Memory <= 0 {
				t.Errorf("%s: %+v", g.Of, p)
			}
		}
	}
	if len(got.Growth) != 2 || len(got.Facts) != 1 || got.Facts[0].Median <= 0 {
		t.Errorf("growth %v, facts %v", got.Growth, got.Facts)
	}
	if err := xml.Unmarshal([]byte(read(t, o.plot)), new(struct{})); err != nil {
		t.Errorf("the plot: %v", err)
	}
	page := read(t, o.page)
	if !strings.HasPrefix(page, "before\n") || !strings.HasSuffix(page, "after\n") || strings.Contains(page, "old") {
		t.Errorf("around the figures: %s", page)
	}
	for _, text := range []string{"| standalone proxy : HAProxy | HTTP/1.1 requests ", "| keys | µs a request | memory, MB |", "| start to the first answer |"} {
		if !strings.Contains(page, text) {
			t.Errorf("%q is missing in\n%s", text, page)
		}
	}
}

// TestTraefik has Traefik check the key with the plugin, and let everybody in without, or with an empty plugin.
func TestTraefik(t *testing.T) {
	root, err := repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "integration", "build", "traefik")); err != nil && os.Getenv("CI") == "" {
		t.Skip("Traefik is not built yet, which takes minutes: make integration does")
	}
	file := filepath.Join(t.TempDir(), "results.json")
	o := small("traefik", "h1 requests", "h2 down")
	o.json = file
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal([]byte(read(t, file)), &got); err != nil {
		t.Fatal(err)
	}
	wantFigures(t, &got, map[string]int{"traefik": 2, "traefik-empty": 2, "traefik-plugin": 2})
}

func small(peers string, loads ...string) *options {
	return &options{rounds: 1, requests: 60, transfer: 2, answer: 1000, peers: peers, loads: strings.Join(loads, ",")}
}

func wantFigures(t *testing.T, r *results, want map[string]int) {
	t.Helper()
	measured := map[string]int{}
	for _, f := range r.Figures {
		if f.Median <= 0 || f.Speed <= 0 || len(f.Values) != 1 {
			t.Errorf("%s, %s: %+v", f.Peer, f.Load, f)
		}
		measured[f.Peer]++
	}
	if !maps.Equal(measured, want) {
		t.Errorf("there are figures %v, want %v", measured, want)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPageWithoutAPlaceIsAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	write(t, file, "nothing")
	if err := new(results).writePage(file); err == nil || read(t, file) != "nothing" {
		t.Errorf("%v, %s", err, read(t, file))
	}
}

// TestBenchmarksAreRead from what go test prints.
func TestBenchmarksAreRead(t *testing.T) {
	t.Parallel()
	r := new(results)
	r.addBenchmarks("goos: linux\nBenchmarkStandaloneAcross100ms/HTTP/2.0-2 \t 3\t 1 ns/op\t 112.5 MB/s\t 11.2 x-default-windows\n" +
		"BenchmarkStandaloneFirstByte/HTTP/1.1-2 \t 100\t 1 ns/op\t 0.52 ms-to-first-byte\nPASS\n")
	var got []string
	for _, f := range r.Facts {
		got = append(got, fmt.Sprint(f.Of, " ", f.Median, " ", f.Unit))
	}
	want := []string{"one upload across 100 ms, HTTP/2 112.5 MB/s", "first byte of an upload at Immich, HTTP/1.1 0.52 ms"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestUnknownPeerIsAnError(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), &options{peers: "apache", rounds: 1}); err == nil || !strings.Contains(err.Error(), "apache") {
		t.Errorf("%v", err)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, values := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 3, 2}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("median of %v: %v", values, got)
		}
	}
}
