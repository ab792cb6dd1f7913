package torture

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

const (
	// soon is within which a client must hear of what has happened to Immich: a second, and what a loaded machine adds. The
	// report tells how long it really took.
	soon = 10 * time.Second
	// long is for what takes a while by itself, such as the rest of a transfer.
	long = time.Minute

	uploadSize   = 4 << 20
	downloadSize = 16 << 20
)

// gateway is what stands before Immich: the standalone proxy, or Traefik with the plugin.
type gateway interface {
	Client(t testing.TB, protocol string, from *harness.Namespace) *harness.Client
	Footprint(t testing.TB) harness.Footprint
}

// badDay is something bad that happens while transfers run.
type badDay struct {
	number int
	name   string
	expect string // in the report: what must come of it
	quick  bool   // part of every run
	root   bool   // needs the rights of root
	once   bool   // is not repeated: it takes long, or leaves nothing to repeat it with
	ended  bool   // ends the proxy, so that nothing can leak

	inTraefik bool // happens to Traefik with the plugin
	// open starts what is needed; nil starts Immich and the proxy with its defaults.
	open func(s *scene)
	// strike begins transfers, does what is bad, and looks at what comes of it.
	strike func(s *scene)
}

// scene is a bad day that runs.
type scene struct {
	*testing.T
	day     *badDay
	gateway gateway
	proxy   *harness.Proxy   // nil on a day of Traefik's
	traefik *harness.Traefik // nil on a day of the standalone proxy
	immich  *harness.Immich
	from    *harness.Namespace // where the clients are
	result  *result

	clients map[string]*harness.Client
	ca      *harness.Authority
	network network
	files   files
}

func (d *badDay) run(t *testing.T) {
	if d.root && os.Getuid() != 0 {
		t.Fatal("this needs the rights of root")
	}
	s := &scene{T: t, day: d, result: results.begin(d), clients: map[string]*harness.Client{}}
	defer func() { s.result.end(!t.Failed()) }()
	if d.open == nil {
		s.openDefault()
	} else {
		d.open(s)
	}
	s.openClients()
	s.serves()
	before := s.settled(nil)
	for range s.rounds() {
		s.result.strike(true)
		d.strike(s)
		s.result.strike(false)
		s.result.rounds++
		if t.Failed() {
			return
		}
	}
	s.serves()
	if !d.ended {
		s.settled(&before)
	}
	s.wantNoPanic()
}

func (s *scene) rounds() int {
	if s.day.once {
		return 1
	}
	return *rounds
}

func (s *scene) openDefault() {
	s.immich = harness.StartImmich(s, nil)
	if s.day.inTraefik {
		s.traefik = harness.StartTraefik(s, s.immich)
		s.gateway = s.traefik
		return
	}
	s.openProxy(harness.ProxyOptions{})
}

func (s *scene) openProxy(options harness.ProxyOptions) {
	if s.immich == nil {
		s.immich = harness.StartImmich(s, nil)
	}
	s.proxy = harness.StartProxy(s, s.immich, options)
	s.gateway = s.proxy
}

func (s *scene) openClients() {
	for _, protocol := range harness.Protocols {
		if s.clients[protocol] == nil {
			s.clients[protocol] = s.gateway.Client(s, protocol, s.from)
		}
	}
}

// traffic are the transfers that run on a bad day: on each protocol two uploads and two downloads, of known and of unknown
// length; and a WebSocket.
type traffic struct {
	*scene
	uploads   []*harness.Transfer
	downloads []*harness.Transfer
	socket    *harness.Socket
}

// begin returns when everything is under way.
func (s *scene) begin() *traffic {
	s.Helper()
	tr := &traffic{scene: s, socket: s.clients[harness.HTTP1].Socket(s)}
	for _, protocol := range harness.Protocols {
		for _, unknown := range []bool{false, true} {
			client := s.clients[protocol]
			tr.uploads = append(tr.uploads, client.Upload(s, harness.UploadOptions{Size: uploadSize, Unknown: unknown}))
			tr.downloads = append(tr.downloads, client.Download(s, harness.DownloadOptions{Size: downloadSize, Unknown: unknown}))
		}
	}
	for _, u := range tr.uploads {
		if !harness.Eventually(func() bool { return u.Ended() || s.immich.Count(s, u.Name, harness.Arrived) > 0 }) || u.Ended() {
			s.Fatalf("%s does not begin: %+v", u.Name, u.Outcome(s, 0))
		}
	}
	for _, d := range tr.downloads {
		if !harness.Eventually(d.UnderWay) || d.Ended() {
			s.Fatalf("%s does not begin: %+v", d.Name, d.Outcome(s, 0))
		}
	}
	tr.wantSocket()
	return tr
}

// end gives up what still runs.
func (tr *traffic) end() {
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
	tr.result.count(harness.HTTP1, "WebSocket", "went on")
}

func (tr *traffic) wantSocketEnded(within time.Duration) {
	tr.Helper()
	if !tr.socket.Ended(within) {
		tr.Error("the WebSocket did not end")
		return
	}
	tr.result.count(harness.HTTP1, "WebSocket", "ended")
}

// wantWhole lets all transfers finish, and wants them whole.
func (tr *traffic) wantWhole() {
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

func (s *scene) wantStored(u *harness.Transfer, o harness.Outcome) {
	s.Helper()
	if !o.Succeeded() {
		s.Errorf("%s: %s", u.Name, o)
	}
	s.checkUpload(u, o)
}

func (s *scene) wantReceived(d *harness.Transfer, o harness.Outcome) {
	s.Helper()
	if !o.Succeeded() {
		s.Errorf("%s: %s", d.Name, o)
	}
	s.checkDownload(d, o)
}

// checkUpload wants no upload to be reported complete unless Immich said so, and of this very content.
func (s *scene) checkUpload(u *harness.Transfer, o harness.Outcome) {
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

// checkDownload wants no download that was cut to look whole.
func (s *scene) checkDownload(d *harness.Transfer, o harness.Outcome) {
	s.Helper()
	switch {
	case errors.Is(o.Err, harness.ErrLooksWhole):
		s.Errorf("%s: %v", d.Name, o.Err)
		s.result.count(d.Protocol, "download", "LOOKS WHOLE, AND IS NOT")
	case o.Succeeded():
		s.result.count(d.Protocol, "download", "whole, checksums equal")
	default:
		s.result.count(d.Protocol, "download", outcomeOf(o))
	}
}

// wantRefused wants all uploads to be answered with one of the statuses, without that the client has to go on.
func (tr *traffic) wantRefused(within time.Duration, statuses ...int) {
	tr.Helper()
	start := time.Now()
	for _, u := range tr.uploads {
		o := u.Outcome(tr, within)
		tr.result.took(time.Since(start))
		if !oneOf(o.Status, statuses) || o.Err != nil {
			tr.Errorf("%s: %s; wanted %v", u.Name, o, statuses)
		}
		tr.checkUpload(u, o)
	}
}

// wantFailed wants the client of each upload to know that it failed, with an answer or without.
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

// wantCut wants all downloads to end with an error that the client sees.
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

func oneOf(status int, statuses []int) bool {
	for _, s := range statuses {
		if s == status {
			return true
		}
	}
	return false
}

// serves wants all kinds of transfers to be whole, one after the other on each protocol: all is well.
func (s *scene) serves() {
	s.Helper()
	if s.Failed() {
		return
	}
	tr := s.begin()
	defer tr.end()
	tr.wantWhole()
	tr.wantSocket()
}

// wantStatus wants an answer to a small request on each protocol.
func (s *scene) wantStatus(key string, want ...int) {
	s.Helper()
	for _, protocol := range harness.Protocols {
		o := s.clients[protocol].WithKey(key).Get("/api/server/ping", "", long)
		if !oneOf(o.Status, want) {
			s.Errorf("%s: %s, wanted %v", protocol, o, want)
			continue
		}
		s.result.count(protocol, "request", outcomeOf(o))
	}
}

// awaitStatus waits until requests by HTTP/1.1 are answered so.
func (s *scene) awaitStatus(key string, want int) {
	s.Helper()
	var last harness.Outcome
	if !harness.Eventually(func() bool {
		last = s.clients[harness.HTTP1].WithKey(key).Get("/api/server/ping", "", long)
		return last.Status == want
	}) {
		s.Fatalf("a request is answered with %s, and never with %d", last, want)
	}
}

// settled returns what the gateway occupies when its clients have left; with an earlier footprint, it wants no more.
func (s *scene) settled(before *harness.Footprint) harness.Footprint {
	s.Helper()
	for _, c := range s.clients {
		c.Close()
	}
	var now harness.Footprint
	done := harness.Eventually(func() bool {
		time.Sleep(100 * time.Millisecond)
		now = s.gateway.Footprint(s)
		return now.Upstream <= 1 && (before == nil || s.isBack(now, *before)) // one is for the questions whether Immich is well
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
	// Go keeps threads, and gives memory back when it likes.
	moreThreads = 24
	moreMemory  = 24 << 20
	// Traefik, which has begun with less than it needs, and collects garbage when there is as much of it as of the rest.
	moreMemoryOfTraefik = 64 << 20
	// Clients of other rounds may not have closed all that they had.
	moreDescriptors = 4
	moreGoroutines  = 12
)

func (s *scene) isBack(now, before harness.Footprint) bool {
	memory := int64(moreMemory)
	if s.traefik != nil {
		memory = moreMemoryOfTraefik
	}
	return now.Descriptors <= before.Descriptors+moreDescriptors && now.Goroutines <= before.Goroutines+moreGoroutines &&
		now.Threads <= before.Threads+moreThreads && now.Memory <= before.Memory+memory
}

func (s *scene) log() *harness.Log {
	if s.traefik != nil {
		return s.traefik.Log
	}
	return s.proxy.Log
}

func (s *scene) wantNoPanic() {
	s.Helper()
	for line := range strings.Lines(s.log().String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "fatal error") || strings.Contains(line, "DATA RACE") {
			s.Errorf("in the log: %s", line)
		}
	}
}
