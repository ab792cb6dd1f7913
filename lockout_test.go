package immichaccess

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func guess(door http.Handler, peer, key string) *httptest.ResponseRecorder {
	r := withKey(key)
	r.RemoteAddr = peer
	return ask(door, r)
}

// wantGuess wants a status for a key that a peer tries.
func wantGuess(t *testing.T, door http.Handler, peer, key string, status int) {
	t.Helper()
	if got := guess(door, peer, key).Code; got != status {
		t.Errorf("%s with the key %q gets %d, want %d", peer, key, got, status)
	}
}

func guesses(t *testing.T, door http.Handler, peer string, first, count int) {
	t.Helper()
	for i := range count {
		wantGuess(t, door, peer, "guess-"+strconv.Itoa(first+i), http.StatusForbidden)
	}
}

const guesser = "203.0.113.7:1234"

func TestLockoutEndsWithTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		door := newDoor(t, &Config{Keys: []string{rightKey}}, &keeper{})
		guesses(t, door, guesser, 0, 4)
		time.Sleep(5 * time.Minute)
		guesses(t, door, guesser, 4, 6)

		wait := guess(door, guesser, rightKey)
		if got := wait.Header().Get("Retry-After"); wait.Code != http.StatusTooManyRequests || got != "600" {
			t.Errorf("status %d, Retry-After %q, want the rest of 15 minutes", wait.Code, got)
		}
		time.Sleep(10*time.Minute - time.Second)
		wantGuess(t, door, guesser, rightKey, http.StatusTooManyRequests)
		time.Sleep(2 * time.Second)
		wantGuess(t, door, guesser, rightKey, http.StatusOK)

		guesses(t, door, guesser, 10, 4) // six others are of the last 15 minutes
		wantGuess(t, door, guesser, rightKey, http.StatusTooManyRequests)
		time.Sleep(15 * time.Minute)
		guesses(t, door, guesser, 20, 9)
		wantGuess(t, door, guesser, rightKey, http.StatusOK)
	})
}

func TestWhoIsLockedOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		guesser, other string
		locked         bool
	}{
		"same address":            {guesser, guesser, true},
		"another port":            {guesser, "203.0.113.7:9", true},
		"another address":         {guesser, "203.0.113.8:1234", false},
		"the same written in six": {guesser, "[::ffff:203.0.113.7]:9", true},
		"the same /64":            {"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1", true},
		"another /64":             {"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		"no address":              {"@", "@", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			door := newDoor(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "3"}, &keeper{})
			guesses(t, door, c.guesser, 0, 3)
			status := http.StatusOK
			if c.locked {
				status = http.StatusTooManyRequests
			}
			wantGuess(t, door, c.other, rightKey, status)
		})
	}
}

func TestWhatCountsAsAWrongKey(t *testing.T) {
	t.Parallel()
	door := newDoor(t, &Config{Keys: []string{rightKey, "old:" + otherKey + " expires=2020-01-31"}, MaxWrongKeys: "2"}, &keeper{})
	for range 100 {
		wantGuess(t, door, guesser, "outdated", http.StatusForbidden)
		wantGuess(t, door, guesser, otherKey, http.StatusForbidden)
		ask(door, newRequest(nil))
		ask(door, newRequest(http.Header{"X-Access-Key": {"a", "b"}}))
	}
	wantGuess(t, door, guesser, rightKey, http.StatusOK)
	wantGuess(t, door, guesser, "another", http.StatusForbidden)
	wantGuess(t, door, guesser, rightKey, http.StatusTooManyRequests)
}

func TestLockoutOff(t *testing.T) {
	t.Parallel()
	door := newDoor(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "0"}, &keeper{})
	guesses(t, door, guesser, 0, 100)
	wantGuess(t, door, guesser, rightKey, http.StatusOK)
}

func TestLockoutIsLogged(t *testing.T) {
	door := newDoor(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "2", LogDenied: true}, &keeper{})
	lines := logLines(func() {
		guesses(t, door, guesser, 0, 2)
		guess(door, guesser, rightKey)
	})
	wantLines(t, lines, `client=203.0.113.7 method="GET" path="/api/albums" reason="wrong key"`,
		`reason="wrong key, the last of 2: locked out for 15m0s"`, `client=203.0.113.7 method="GET" path="/api/albums" reason="too many wrong keys"`)
}

// Many more clients than are remembered, with a wrong key each, take bounded memory, and do not set free who was locked out
// before.
func TestManyClients(t *testing.T) {
	var errs problems
	l := newLockout(&Config{}, &errs)
	locked := netip.MustParseAddr("203.0.113.7")
	for i := range 10 {
		l.review(locked, wrong(i))
	}
	before := heap()
	for i := range 10 * mostClients {
		l.review(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), wrong(i))
	}
	if grown := heap() - before; grown > 10<<20 {
		t.Errorf("many clients take %d MB", grown>>20)
	}
	if denied := l.review(locked, nil); denied == nil || denied.wait == 0 {
		t.Error("who was locked out is free")
	}
	if denied := l.review(netip.MustParseAddr("192.0.2.1"), nil); denied != nil {
		t.Errorf("a stranger is locked out: %+v", denied)
	}
}

func wrong(i int) *denial {
	denied := &denial{wrong: true}
	copy(denied.digest[:], strconv.Itoa(i))
	return denied
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// Whatever the limit, what is remembered is bounded.
func TestManyWrongKeysEach(t *testing.T) {
	t.Parallel()
	var errs problems
	l := newLockout(&Config{MaxWrongKeys: "100"}, &errs) // more would make the test slow: each guess looks through the earlier
	for i := range 2 * mostWrongKeys / 100 {
		house := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		for j := range 100 {
			l.review(house, wrong(j))
		}
	}
	count := 0
	for _, attempts := range l.clients {
		count += len(attempts)
	}
	if count > mostWrongKeys {
		t.Errorf("%d wrong keys are remembered", count)
	}
}
