// Package admin serves metrics for Prometheus and health checks for containers and load balancers.
package admin

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// View is the state that is shown.
type View struct {
	Tracker *transfer.Tracker
	Health  func() map[string]bool      // of upstreams, by address
	Expiry  func() map[string]time.Time // of certificates, by name
	Ready   func() bool                 // for new requests
}

// Admin counts requests and serves their metrics, with the View.
type Admin struct {
	view     View
	requests *metrics.Set

	mu       sync.RWMutex
	counters map[labels]*counters
}

// labels are what requests are counted by.
type labels struct {
	status                 int
	key, listener, aborted string
}

type counters struct {
	requests *metrics.Counter
	seconds  *metrics.FloatCounter
}

// New returns an Admin whose counters are zero.
func New(view View) *Admin {
	return &Admin{view: view, requests: metrics.NewSet(), counters: map[labels]*counters{}}
}

// Count counts a request that has ended.
func (a *Admin) Count(listener string, e transfer.Entry) {
	l := labels{e.Status, e.Identity.Key, listener, string(e.Aborted)}
	a.mu.RLock()
	c := a.counters[l]
	a.mu.RUnlock()
	if c == nil {
		c = a.addCounters(l)
	}
	c.requests.Inc()
	c.seconds.Add(e.Duration.Seconds())
}

// addCounters leaves out a label without a value: to Prometheus, it is the same as an empty one.
func (a *Admin) addCounters(l labels) *counters {
	text := fmt.Sprintf(`{status="%d",key=%q,listener=%q}`, l.status, l.key, l.listener)
	if l.aborted != "" {
		text = fmt.Sprintf(`{status="%d",key=%q,listener=%q,aborted=%q}`, l.status, l.key, l.listener, l.aborted)
	}
	c := &counters{
		a.requests.GetOrCreateCounter("immichaccess_requests_total" + text),
		a.requests.GetOrCreateFloatCounter("immichaccess_request_seconds_total" + text),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counters[l] = c
	return c
}

// Handler serves /metrics, /healthz and /readyz.
func (a *Admin) Handler() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /metrics", a.serveMetrics)
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	routes.HandleFunc("GET /readyz", a.serveReady)
	return routes
}

func (a *Admin) serveReady(w http.ResponseWriter, _ *http.Request) {
	if !a.view.Ready() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	for _, healthy := range a.view.Health() {
		if healthy {
			_, _ = io.WriteString(w, "ok\n")
			return
		}
	}
	http.Error(w, "Immich does not answer", http.StatusServiceUnavailable)
}

func (a *Admin) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	a.requests.WritePrometheus(w)
	tracker := a.view.Tracker
	metrics.WriteCounterFloat64(w, "immichaccess_received_bytes_total", float64(tracker.Received()))
	metrics.WriteCounterFloat64(w, "immichaccess_sent_bytes_total", float64(tracker.Sent()))
	metrics.WriteGaugeFloat64(w, "immichaccess_transfers_running", float64(tracker.Running()))
	metrics.WriteGaugeFloat64(w, "immichaccess_websockets_open", float64(tracker.Sockets()))
	for name, until := range a.view.Expiry() {
		metrics.WriteGaugeFloat64(w, fmt.Sprintf("immichaccess_certificate_expiry_timestamp_seconds{name=%q}", name), float64(until.Unix()))
	}
	for address, healthy := range a.view.Health() {
		metrics.WriteGaugeFloat64(w, fmt.Sprintf("immichaccess_upstream_healthy{upstream=%q}", address), number(healthy))
	}
	metrics.WriteProcessMetrics(w)
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
