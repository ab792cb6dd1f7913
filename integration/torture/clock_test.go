package torture

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What can happen to the clock of the machine. It is not set here: the proxy is one whose wall clock can be set while it runs,
// as by an administrator or NTP; the monotonic clock goes on, as it would.

const (
	day      = 24 * time.Hour
	guestKey = "a-key-for-a-guest-of-today"
)

func clockDays() []*badDay {
	return []*badDay{
		{
			name: "the clock jumps two days ahead and back", open: withClock, strike: clockAhead,
			expect: "a key that expires in between is refused, and taken again afterwards; other keys are taken, nothing that runs notices",
		},
		{
			name: "the clock jumps ten years ahead and back", open: withClock, strike: func(s *scene) { clockJumps(s, 10*365*day) },
			expect: "nothing that runs notices, keys that do not expire are taken",
		},
		{
			name: "the clock jumps two days back", open: withClock, strike: func(s *scene) { clockJumps(s, -2*day) },
			expect: "nothing that runs notices, keys are taken",
		},
		{
			name: "the clock jumps a day back during a lockout", open: withClock, strike: clockBackWhileLockedOut,
			expect: "the lockout ends when wrongKeyWindow has really passed, not a day later; what runs goes on",
		},
	}
}

const wrongKeyWindow = 8 * time.Second

func withClock(s *scene) {
	tomorrow := time.Now().Add(day).UTC().Format("2006-01-02")
	s.openProxy(harness.ProxyOptions{Variant: harness.Jumping, Access: fmt.Sprintf(
		"  keys: [phone:%s, 'guest:%s expires=%s']\n  wrongKeyWindow: %s\n", harness.Key, guestKey, tomorrow, wrongKeyWindow)})
}

func clockAhead(s *scene) {
	tr := s.begin()
	defer tr.end()
	guest := s.clients[harness.HTTP2].Upload(s, harness.UploadOptions{Size: uploadSize, Key: guestKey})
	s.wantStatus(guestKey, http.StatusOK)
	if !harness.Eventually(func() bool { return s.immich.Count(s, guest.Name, harness.Arrived) > 0 }) {
		s.Fatal("the guest's upload does not begin")
	}
	s.proxy.SetClock(s, 2*day)
	s.awaitStatus(guestKey, http.StatusForbidden)
	s.wantStatus(guestKey, http.StatusForbidden)
	s.wantStatus(harness.Key, http.StatusOK)
	s.wantStored(guest, guest.Wait(s, long))
	tr.wantWhole()
	tr.wantSocket()
	s.proxy.SetClock(s, 0)
	s.awaitStatus(guestKey, http.StatusOK)
}

func clockJumps(s *scene, by time.Duration) {
	tr := s.begin()
	defer tr.end()
	mark := s.proxy.Log.Mark()
	s.proxy.SetClock(s, by)
	s.awaitClock(mark, by)
	s.wantStatus(harness.Key, http.StatusOK)
	tr.wantWhole()
	tr.wantSocket()
	s.serves()
	mark = s.proxy.Log.Mark()
	s.proxy.SetClock(s, 0)
	s.awaitClock(mark, 0)
}

// awaitClock waits until the proxy's log is dated so.
func (s *scene) awaitClock(mark int, offset time.Duration) {
	s.Helper()
	if !harness.Eventually(func() bool {
		s.clients[harness.HTTP1].Get("/api/server/ping", "", long)
		return strings.Contains(s.proxy.Log.Since(mark), "time="+time.Now().Add(offset).UTC().Format(time.DateOnly))
	}) {
		s.Fatalf("the log is not dated %s", time.Now().Add(offset).UTC().Format(time.DateOnly))
	}
}

func clockBackWhileLockedOut(s *scene) {
	tr := s.begin()
	defer tr.end()
	const tries = 15
	for i := range tries {
		s.clients[harness.HTTP1].WithKey(fmt.Sprintf("wrong-key-number-%d", i)).Get("/api/server/ping", "", long)
	}
	s.wantStatus(harness.Key, http.StatusTooManyRequests)
	s.proxy.SetClock(s, -day)
	start := time.Now()
	s.awaitStatus(harness.Key, http.StatusOK)
	if took := time.Since(start); took > wrongKeyWindow+soon {
		s.Errorf("the lockout lasted for %s", took)
	}
	tr.wantWhole()
	tr.wantSocket()
	s.proxy.SetClock(s, 0)
}
