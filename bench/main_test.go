package main

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// TestRunMeasuresEveryPeer runs a small comparison with what is in Debian, and reads its results.
func TestRunMeasuresEveryPeer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	const peers = "floor,ours,nginx,haproxy"
	o := &options{rounds: 1, requests: 60, transfer: 2, answer: 1000, peers: peers, loads: strings.Join(loadNames(), ","), json: file}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	measured := map[string]int{}
	for _, f := range got.Figures {
		if f.Median <= 0 || f.Speed <= 0 || len(f.Values) != o.rounds {
			t.Errorf("%s, %s: %+v", f.Peer, f.Load, f)
		}
		measured[f.Peer]++
	}
	for peer, want := range map[string]int{"floor": 3, "ours": len(loads), "nginx": 6, "haproxy": 6} {
		if measured[peer] != want {
			t.Errorf("%s has %d figures, want %d", peer, measured[peer], want)
		}
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
