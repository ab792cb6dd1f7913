package traefik_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/conformance"
)

// BenchmarkTraefik measures how much processor time the real Traefik takes for a request, in multiples of Traefik without the
// plugin.
func BenchmarkTraefik(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1000)) }))
	b.Cleanup(upstream.Close)
	address := harness.FreeAddress(b)
	gateway := traefik.Run(b, traefik.Settings{"entryPoints": traefik.Settings{"web": traefik.Settings{"address": address}}},
		traefik.Settings{"http": traefik.Settings{
			"routers": traefik.Settings{
				"bare":   traefik.Settings{"rule": "Host(`bare.example.com`)", "service": "immich"},
				"plugin": traefik.Settings{"rule": "Host(`plugin.example.com`)", "service": "immich", "middlewares": []string{"key"}},
			},
			"middlewares": traefik.Settings{"key": traefik.Plugin(traefik.Settings{"keys": []string{"phone:" + conformance.Key, "tablet:correct-horse-battery-stable"}})},
			"services":    traefik.Settings{"immich": traefik.Service(upstream.URL)},
		}}, address)
	traefik.AwaitRoute(b, address, "plugin.example.com", http.StatusForbidden)

	const turn = 2000
	var ours, base time.Duration
	b.ResetTimer()
	for done := 0; done < b.N; done += turn {
		base += sendRequests(b, gateway, address, "bare.example.com", turn)
		ours += sendRequests(b, gateway, address, "plugin.example.com", turn)
	}
	b.ReportMetric(float64(ours)/float64(base), "x-bare-cpu")
}

// sendRequests returns the processor time that Traefik took for n requests.
func sendRequests(b *testing.B, gateway *traefik.Running, address, host string, n int) time.Duration {
	b.Helper()
	before := processorTime(b, gateway.PID)
	for range n {
		r, err := http.NewRequest(http.MethodGet, "http://"+address+"/api/assets/1/thumbnail", nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Host, r.Header = host, harness.BrowserHeaders(conformance.Key)
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := bytes.NewBuffer(nil).ReadFrom(response.Body); err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("status %d, %v", response.StatusCode, err)
		}
		response.Body.Close()
	}
	return processorTime(b, gateway.PID) - before
}

// processorTime reads the 14th and 15th fields of /proc/PID/stat, in hundredths of a second.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third field on
	var ticks int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}
