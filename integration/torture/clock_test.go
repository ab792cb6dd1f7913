package torture

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// The clock of the machine is set. Only the proxy's clock is changed, while it runs; the monotonic clock is not affected, as
// when an administrator or NTP sets the clock.

const (
	day      = 24 * time.Hour
	guestKey = "a-guest-key-0123456789"
)

func clockScenarios() []*scenario {
	return []*scenario{
		{
			name: "the clock jumps two days ahead and back", setUp: withClock, inject: clockAhead,
			expect: "a key that expires in between is refused, and accepted again afterwards; other keys are accepted, running transfers are not affected",
		},
		{
			name: "the clock jumps ten years ahead and back", setUp: withClock, inject: func(s *testRun) { clockJumps(s, 10*365*day) },
			expect: "running transfers are not affected, keys that do not expire are accepted",
		},
		{
			name: "the clock jumps two days back", setUp: withClock, inject: func(s *testRun) { clockJumps(s, -2*day) },
			expect: "running transfers are not affected, keys are accepted",
		},
		{
			name: "the clock jumps a day back during a lockout", setUp: withClock, inject: clockBackWhileLockedOut,
			expect: "the lockout ends when wrongKeyWindow has really passed, not a day later; running transfers are not affected",
		},
	}
}

const wrongKeyWindow = 8 * time.Second

func withClock(s *testRun) {
	tomorrow := time.Now().Add(day).UTC().Format("2006-01-02")
	s.startProxy(testbed.ProxyOptions{Variant: &harness.AdjustableClock, Access: fmt.Sprintf(
		"  keys: [phone:%s, 'guest:%s expires=%s']\n  wrongKeyWindow: %s\n", testbed.Key, guestKey, tomorrow, wrongKeyWindow)})
}

func clockAhead(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	guest := s.clients[harness.HTTP2].Upload(s, testbed.UploadOptions{Size: uploadSize, Key: guestKey})
	s.wantStatus(guestKey, http.StatusOK)
	if !harness.Eventually(func() bool { return s.immich.Count(s, guest.Name, testbed.Arrived) > 0 }) {
		s.Fatal("the guest's upload does not start")
	}
	s.proxy.SetClock(s, 2*day)
	s.awaitStatus(guestKey, http.StatusForbidden)
	s.wantStatus(guestKey, http.StatusForbidden)
	s.wantStatus(testbed.Key, http.StatusOK)
	s.wantStored(guest, guest.Wait(s, long))
	tr.wantComplete()
	tr.wantSocket()
	s.proxy.SetClock(s, 0)
	s.awaitStatus(guestKey, http.StatusOK)
}

func clockJumps(s *testRun, by time.Duration) {
	tr := s.startTraffic()
	defer tr.stop()
	mark := s.proxy.Log.Mark()
	s.proxy.SetClock(s, by)
	s.awaitClock(mark, by)
	s.wantStatus(testbed.Key, http.StatusOK)
	tr.wantComplete()
	tr.wantSocket()
	s.wantService()
	mark = s.proxy.Log.Mark()
	s.proxy.SetClock(s, 0)
	s.awaitClock(mark, 0)
}

// awaitClock waits until the proxy's log has the date of the offset.
func (s *testRun) awaitClock(mark int, offset time.Duration) {
	s.Helper()
	if !harness.Eventually(func() bool {
		s.clients[harness.HTTP1].Get("/api/server/ping", "", long)
		return strings.Contains(s.proxy.Log.Since(mark), "time="+time.Now().Add(offset).UTC().Format(time.DateOnly))
	}) {
		s.Fatalf("the log does not have the date %s", time.Now().Add(offset).UTC().Format(time.DateOnly))
	}
}

func clockBackWhileLockedOut(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	const tries = 15
	for i := range tries {
		s.clients[harness.HTTP1].WithKey(fmt.Sprintf("wrong-key-number-%d", i)).Get("/api/server/ping", "", long)
	}
	s.wantStatus(testbed.Key, http.StatusTooManyRequests)
	s.proxy.SetClock(s, -day)
	start := time.Now()
	s.awaitStatus(testbed.Key, http.StatusOK)
	if took := time.Since(start); took > wrongKeyWindow+soon {
		s.Errorf("the lockout lasted %s", took)
	}
	tr.wantComplete()
	tr.wantSocket()
	s.proxy.SetClock(s, 0)
}
