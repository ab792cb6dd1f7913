package torture

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

const (
	// soon is the time within which a client must get an error when Immich fails: it should be immediate, but a machine under load
	// is slower. The report says how long it took.
	soon = 10 * time.Second
	// long is for what takes a while anyway, such as the rest of a transfer.
	long = time.Minute

	uploadSize   = 4 << 20
	downloadSize = 16 << 20
)

// gateway is the proxy in front of Immich: the standalone one, or Traefik with the plugin.
type gateway interface {
	Client(t testing.TB, protocol string, from *testbed.Namespace) *testbed.Client
	Footprint(t testing.TB) testbed.Footprint
}

// scenario is a failure that happens during transfers.
type scenario struct {
	number    int
	name      string
	expect    string // in the report: the required result
	quick     bool   // part of every run
	root      bool   // needs root
	once      bool   // not repeated: it takes long, or can't happen twice
	endsProxy bool   // so that nothing can leak

	inTraefik bool // Traefik with the plugin instead of the standalone proxy
	// setUp starts what is needed; nil starts Immich and the proxy with its defaults.
	setUp func(s *testRun)
	// inject starts transfers, causes the failure, and checks the result.
	inject func(s *testRun)
}

// testRun is a run of a scenario.
type testRun struct {
	*testing.T
	scenario *scenario
	gateway  gateway
	proxy    *testbed.Proxy   // nil with Traefik
	traefik  *testbed.Traefik // nil with the standalone proxy
	immich   *testbed.Immich
	from     *testbed.Namespace // of the clients
	result   *result

	clients map[string]*testbed.Client
	ca      *testbed.CA
	network network
	files   files
}

func (d *scenario) run(t *testing.T) {
	if d.root && os.Getuid() != 0 {
		t.Fatal("this needs root")
	}
	s := &testRun{T: t, scenario: d, result: results.begin(d), clients: map[string]*testbed.Client{}}
	defer func() { s.result.end(!t.Failed()) }()
	if d.setUp == nil {
		s.startDefault()
	} else {
		d.setUp(s)
	}
	s.startClients()
	s.wantService()
	before := s.awaitFootprint(nil)
	for range s.rounds() {
		s.result.setFailing(true)
		d.inject(s)
		s.result.setFailing(false)
		s.result.rounds++
		if t.Failed() {
			return
		}
	}
	s.wantService()
	if !d.endsProxy {
		s.awaitFootprint(&before)
	}
	s.wantNoPanic()
}

func (s *testRun) rounds() int {
	if s.scenario.once {
		return 1
	}
	return *rounds
}

func (s *testRun) startDefault() {
	s.immich = testbed.StartImmich(s, nil)
	if s.scenario.inTraefik {
		s.traefik = testbed.StartTraefik(s, s.immich)
		s.gateway = s.traefik
		return
	}
	s.startProxy(testbed.ProxyOptions{})
}

func (s *testRun) startProxy(options testbed.ProxyOptions) {
	if s.immich == nil {
		s.immich = testbed.StartImmich(s, nil)
	}
	s.proxy = testbed.StartProxy(s, s.immich, options)
	s.gateway = s.proxy
}

func (s *testRun) startClients() {
	for _, protocol := range harness.Protocols {
		if s.clients[protocol] == nil {
			s.clients[protocol] = s.gateway.Client(s, protocol, s.from)
		}
	}
}

// traffic are the transfers during a failure: on each protocol two uploads and two downloads, of known and of unknown
// length; and a WebSocket.
type traffic struct {
	*testRun
	uploads   []*testbed.Transfer
	downloads []*testbed.Transfer
	socket    *testbed.Socket
}

// startTraffic returns when all transfers are in progress.
func (s *testRun) startTraffic() *traffic {
	s.Helper()
	tr := &traffic{testRun: s, socket: s.clients[harness.HTTP1].Socket(s)}
	for _, protocol := range harness.Protocols {
		for _, unknown := range []bool{false, true} {
			client := s.clients[protocol]
			tr.uploads = append(tr.uploads, client.Upload(s, testbed.UploadOptions{Size: uploadSize, Unknown: unknown}))
			tr.downloads = append(tr.downloads, client.Download(s, testbed.DownloadOptions{Size: downloadSize, Unknown: unknown}))
		}
	}
	for _, u := range tr.uploads {
		if !harness.Eventually(func() bool { return u.Ended() || s.immich.Count(s, u.Name, testbed.Arrived) > 0 }) || u.Ended() {
			s.Fatalf("%s does not start: %+v", u.Name, u.Outcome(s, 0))
		}
	}
	for _, d := range tr.downloads {
		if !harness.Eventually(d.InProgress) || d.Ended() {
			s.Fatalf("%s does not start: %+v", d.Name, d.Outcome(s, 0))
		}
	}
	tr.wantSocket()
	return tr
}

// stop aborts the transfers that still run.
func (tr *traffic) stop() {
	for _, t := range append(tr.uploads, tr.downloads...) {
		t.Abort()
	}
	tr.socket.Close()
}

func (tr *traffic) wantSocket() {
	tr.Helper()
	if err := tr.socket.Echo(long); err != nil {
		tr.Errorf("the WebSocket: %v", err)
		return
	}
	tr.result.count(harness.HTTP1, "WebSocket", "continued")
}

func (tr *traffic) wantSocketEnded(within time.Duration) {
	tr.Helper()
	if !tr.socket.Ended(within) {
		tr.Error("the WebSocket did not end")
		return
	}
	tr.result.count(harness.HTTP1, "WebSocket", "ended")
}

// wantComplete lets all transfers finish, and requires that they are complete.
func (tr *traffic) wantComplete() {
	tr.Helper()
	for _, t := range append(tr.uploads, tr.downloads...) {
		t.Release()
	}
	for _, u := range tr.uploads {
		tr.wantStored(u, u.Outcome(tr, long))
	}
	for _, d := range tr.downloads {
		tr.wantReceived(d, d.Outcome(tr, long))
	}
}

func (s *testRun) wantStored(u *testbed.Transfer, o testbed.Outcome) {
	s.Helper()
	if !o.Succeeded() {
		s.Errorf("%s: %s", u.Name, o)
	}
	s.checkUpload(u, o)
}

func (s *testRun) wantReceived(d *testbed.Transfer, o testbed.Outcome) {
	s.Helper()
	if !o.Succeeded() {
		s.Errorf("%s: %s", d.Name, o)
	}
	s.checkDownload(d, o)
}

// checkUpload requires that no upload is reported complete unless Immich has stored exactly this content.
func (s *testRun) checkUpload(u *testbed.Transfer, o testbed.Outcome) {
	s.Helper()
	if !o.Succeeded() {
		s.result.count(u.Protocol, "upload", outcomeOf(o))
		return
	}
	if !s.immich.Stored(s, u.Name, u.Checksum) {
		s.Errorf("%s: the client was told %s, but Immich has %+v", u.Name, o, s.immich.Journal(s, u.Name))
		s.result.count(u.Protocol, "upload", "LOST")
		return
	}
	s.result.count(u.Protocol, "upload", "stored, checksums equal")
}

// checkDownload requires that no download that was cut looks complete.
func (s *testRun) checkDownload(d *testbed.Transfer, o testbed.Outcome) {
	s.Helper()
	switch {
	case errors.Is(o.Err, testbed.ErrUndetected):
		s.Errorf("%s: %v", d.Name, o.Err)
		s.result.count(d.Protocol, "download", "LOOKS COMPLETE, AND IS NOT")
	case o.Succeeded():
		s.result.count(d.Protocol, "download", "complete, checksums equal")
	default:
		s.result.count(d.Protocol, "download", outcomeOf(o))
	}
}

// wantRefused requires that all uploads are answered with one of the statuses, although the client has not sent everything.
func (tr *traffic) wantRefused(within time.Duration, statuses ...int) {
	tr.Helper()
	start := time.Now()
	for _, u := range tr.uploads {
		o := u.Outcome(tr, within)
		tr.result.recordDelay(time.Since(start))
		if !slices.Contains(statuses, o.Status) || o.Err != nil {
			tr.Errorf("%s: %s; wanted %v", u.Name, o, statuses)
		}
		tr.checkUpload(u, o)
	}
}

// wantFailed requires that the client of each upload knows that it failed, with or without an answer.
func (tr *traffic) wantFailed(within time.Duration) {
	tr.Helper()
	for _, u := range tr.uploads {
		o := u.Outcome(tr, within)
		if o.Succeeded() {
			tr.Errorf("%s: %s", u.Name, o)
		}
		tr.checkUpload(u, o)
	}
}

// wantCut requires that all downloads end with an error for the client.
func (tr *traffic) wantCut(within time.Duration) {
	tr.Helper()
	for _, d := range tr.downloads {
		d.Release()
	}
	for _, d := range tr.downloads {
		o := d.Outcome(tr, within)
		if o.Err == nil {
			tr.Errorf("%s: %s; it should have been cut", d.Name, o)
		}
		tr.checkDownload(d, o)
	}
}

// wantService requires that all kinds of transfers are complete, on each protocol.
func (s *testRun) wantService() {
	s.Helper()
	if s.Failed() {
		return
	}
	tr := s.startTraffic()
	defer tr.stop()
	tr.wantComplete()
	tr.wantSocket()
}

// wantStatus requires one of the statuses for a small request on each protocol.
func (s *testRun) wantStatus(key string, want ...int) {
	s.Helper()
	for _, protocol := range harness.Protocols {
		o := s.clients[protocol].WithKey(key).Get("/api/server/ping", "", long)
		if !slices.Contains(want, o.Status) {
			s.Errorf("%s: %s, wanted %v", protocol, o, want)
			continue
		}
		s.result.count(protocol, "request", outcomeOf(o))
	}
}

// awaitStatus waits until requests over HTTP/1.1 get the status.
func (s *testRun) awaitStatus(key string, want int) {
	s.Helper()
	var last testbed.Outcome
	if !harness.Eventually(func() bool {
		last = s.clients[harness.HTTP1].WithKey(key).Get("/api/server/ping", "", long)
		return last.Status == want
	}) {
		s.Fatalf("a request is answered with %s, and never with %d", last, want)
	}
}

// awaitFootprint returns what the gateway uses when its clients have disconnected; given an earlier footprint, it requires
// about the same.
func (s *testRun) awaitFootprint(before *testbed.Footprint) testbed.Footprint {
	s.Helper()
	for _, c := range s.clients {
		c.Close()
	}
	var now testbed.Footprint
	done := harness.Eventually(func() bool {
		time.Sleep(100 * time.Millisecond)
		now = s.gateway.Footprint(s)
		return now.Upstream <= 1 && (before == nil || s.isBackTo(now, *before)) // one is for the health checks of Immich
	})
	if before == nil {
		return now
	}
	s.result.footprints(*before, now)
	if !done {
		s.Errorf("before: %s\nafterwards: %s", *before, now)
	}
	return now
}

const (
	// Go keeps threads, and returns memory late.
	moreThreads = 24
	moreMemory  = 24 << 20
	// Traefik starts with less than it needs later, and collects garbage when the heap has doubled.
	moreMemoryOfTraefik = 64 << 20
	// Clients of other rounds may not have closed all their connections.
	moreDescriptors = 4
	moreGoroutines  = 12
)

func (s *testRun) isBackTo(now, before testbed.Footprint) bool {
	memory := int64(moreMemory)
	if s.traefik != nil {
		memory = moreMemoryOfTraefik
	}
	return now.Descriptors <= before.Descriptors+moreDescriptors && now.Goroutines <= before.Goroutines+moreGoroutines &&
		now.Threads <= before.Threads+moreThreads && now.Memory <= before.Memory+memory
}

func (s *testRun) log() *harness.Log {
	if s.traefik != nil {
		return s.traefik.Log
	}
	return s.proxy.Log
}

func (s *testRun) wantNoPanic() {
	s.Helper()
	for line := range strings.Lines(s.log().String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "fatal error") || strings.Contains(line, "DATA RACE") {
			s.Errorf("in the log: %s", line)
		}
	}
}
