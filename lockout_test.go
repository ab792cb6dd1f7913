package immichaccess

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func guess(handler http.Handler, peer, key string) *httptest.ResponseRecorder {
	r := withKey(key)
	r.RemoteAddr = peer
	return ask(handler, r)
}

// wantGuess wants a status for a key that a peer tries.
func wantGuess(t *testing.T, handler http.Handler, peer, key string, status int) {
	t.Helper()
	if got := guess(handler, peer, key).Code; got != status {
		t.Errorf("%s with the key %q gets %d, want %d", peer, key, got, status)
	}
}

func guesses(t *testing.T, handler http.Handler, peer string, first, count int) {
	t.Helper()
	for i := range count {
		wantGuess(t, handler, peer, "guess-"+strconv.Itoa(first+i), http.StatusForbidden)
	}
}

const guesser = "203.0.113.7:1234"

func TestLockoutEndsWithTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := newTestHandler(t, &Config{Keys: []string{rightKey}}, &recorder{})
		guesses(t, handler, guesser, 0, 4)
		time.Sleep(5 * time.Minute)
		guesses(t, handler, guesser, 4, 6)

		wait := guess(handler, guesser, rightKey)
		if got := wait.Header().Get("Retry-After"); wait.Code != http.StatusTooManyRequests || got != "600" {
			t.Errorf("status %d, Retry-After %q, want the rest of 15 minutes", wait.Code, got)
		}
		time.Sleep(10*time.Minute - time.Second)
		wantGuess(t, handler, guesser, rightKey, http.StatusTooManyRequests)
		time.Sleep(2 * time.Second)
		wantGuess(t, handler, guesser, rightKey, http.StatusOK)

		guesses(t, handler, guesser, 10, 4) // the other six are within the last 15 minutes
		wantGuess(t, handler, guesser, rightKey, http.StatusTooManyRequests)
		time.Sleep(15 * time.Minute)
		guesses(t, handler, guesser, 20, 9)
		wantGuess(t, handler, guesser, rightKey, http.StatusOK)
	})
}

func TestWhoIsLockedOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		guesser, other string
		locked         bool
	}{
		"same address":                 {guesser, guesser, true},
		"another port":                 {guesser, "203.0.113.7:9", true},
		"another address":              {guesser, "203.0.113.8:1234", false},
		"the same as IPv4-mapped IPv6": {guesser, "[::ffff:203.0.113.7]:9", true},
		"the same /64":                 {"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1", true},
		"another /64":                  {"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		"no address":                   {"@", "@", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := newTestHandler(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "3"}, &recorder{})
			guesses(t, handler, c.guesser, 0, 3)
			status := http.StatusOK
			if c.locked {
				status = http.StatusTooManyRequests
			}
			wantGuess(t, handler, c.other, rightKey, status)
		})
	}
}

// A customer with an IPv6 /48 has 65,536 /64s to guess from, and gets no more than ten clients' worth of guesses.
func TestNetworkIsLockedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := newTestHandler(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "3"}, &recorder{})
		peer := func(subnet int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", subnet) }
		for i := range 14 {
			guesses(t, handler, peer(i), 2*i, 2)
			wantGuess(t, handler, peer(i), rightKey, http.StatusOK)
		}
		time.Sleep(time.Minute)
		guesses(t, handler, peer(14), 28, 2)
		response := guess(handler, peer(15), rightKey)
		if got := response.Header().Get("Retry-After"); response.Code != http.StatusTooManyRequests || got != "840" {
			t.Errorf("status %d, Retry-After %q, want the rest of 15 minutes", response.Code, got)
		}
		wantGuess(t, handler, "[2001:db8:2::1]:1", rightKey, http.StatusOK)
		wantGuess(t, handler, "203.0.113.9:1", rightKey, http.StatusOK)
		time.Sleep(14*time.Minute + time.Second)
		wantGuess(t, handler, peer(15), rightKey, http.StatusOK)
	})
}

// A lockout lasts to its end, even if another that ends earlier begins meanwhile.
func TestLockoutsDoNotShortenEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := newTestHandler(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "2"}, &recorder{})
		const early, late = "192.0.2.8:1", "203.0.113.7:1"
		guesses(t, handler, early, 0, 1)
		time.Sleep(10 * time.Minute)
		guesses(t, handler, late, 0, 2)
		guesses(t, handler, early, 1, 1) // until 15 minutes after the start
		time.Sleep(5*time.Minute + time.Second)
		wantGuess(t, handler, early, rightKey, http.StatusOK)
		wantGuess(t, handler, late, rightKey, http.StatusTooManyRequests)
		if got := ask(handler, from(late, newRequest(nil))).Code; got != http.StatusTooManyRequests {
			t.Errorf("without a key: status %d", got)
		}
	})
}

func from(peer string, r *http.Request) *http.Request {
	r.RemoteAddr = peer
	return r
}

// Concurrent guesses of many clients, for the race detector.
func TestGuessesAtTheSameTime(t *testing.T) {
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "3", LogDenied: true}, http.NotFoundHandler())
	logLines(func() {
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				for j := range 50 {
					peer := fmt.Sprintf("203.0.113.%d:1", (i+j)%16)
					guess(handler, peer, fmt.Sprint("guess-", j))
					guess(handler, peer, rightKey)
				}
			})
		}
		wait.Wait()
	})
}

func TestWhatCountsAsAWrongKey(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{Keys: []string{rightKey, "old:" + otherKey + " expires=2020-01-31"}, MaxWrongKeys: "2"}, &recorder{})
	for range 100 {
		wantGuess(t, handler, guesser, "outdated", http.StatusForbidden)
		wantGuess(t, handler, guesser, otherKey, http.StatusForbidden)
		ask(handler, newRequest(nil))
		ask(handler, newRequest(http.Header{"X-Access-Key": {"a", "b"}}))
	}
	wantGuess(t, handler, guesser, rightKey, http.StatusOK)
	wantGuess(t, handler, guesser, "another", http.StatusForbidden)
	wantGuess(t, handler, guesser, rightKey, http.StatusTooManyRequests)
}

func TestLockoutOff(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "0"}, &recorder{})
	guesses(t, handler, guesser, 0, 100)
	wantGuess(t, handler, guesser, rightKey, http.StatusOK)
}

func TestLockoutIsLogged(t *testing.T) {
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}, MaxWrongKeys: "2", LogDenied: true}, &recorder{})
	lines := logLines(func() {
		guesses(t, handler, guesser, 0, 2)
		guess(handler, guesser, rightKey)
	})
	wantLines(t, lines, `client=203.0.113.7 method=GET path=/api/albums reason="wrong key"`,
		`reason="wrong key, the last of 2: 203.0.113.7 locked out for 15m0s"`, `client=203.0.113.7 method=GET path=/api/albums reason="too many wrong keys"`)
}

// Many more clients than are remembered, with a wrong key each, take bounded memory, and do not end an earlier lockout.
func TestManyClients(t *testing.T) {
	l := newLockout(10, 15*time.Minute)
	locked := netip.MustParseAddr("203.0.113.7")
	for i := range 10 {
		l.review(locked, wrong(i))
	}
	before := heap()
	for i := range 10 * mostPrefixes {
		l.review(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), wrong(i))
	}
	if grown := heap() - before; grown > 10<<20 {
		t.Errorf("many clients take %d MB", grown>>20)
	}
	if denied := l.review(locked, nil); denied == nil || denied.wait == 0 {
		t.Error("the earlier lockout has ended")
	}
	if denied := l.review(netip.MustParseAddr("192.0.2.1"), nil); denied != nil {
		t.Errorf("another client is locked out: %+v", denied)
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

// Memory is bounded whatever the limit.
func TestManyWrongKeysEach(t *testing.T) {
	t.Parallel()
	l := newLockout(100, 15*time.Minute) // more would make the test slow: each guess looks through the earlier
	for i := range 2 * mostWrongKeys / 100 {
		client := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		for j := range 100 {
			l.review(client, wrong(j))
		}
	}
	count := 0
	for _, attempts := range l.clients.byPrefix {
		count += len(attempts)
	}
	if count > mostWrongKeys {
		t.Errorf("%d wrong keys are remembered", count)
	}
}
