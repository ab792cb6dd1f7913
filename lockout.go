package immichaccess

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultMaxWrongKeys   = "10"
	defaultWrongKeyWindow = "15m"

	// What is remembered at most, some 6 MB: so many clients, and so many wrong keys of all of them together.
	mostClients   = 10_000
	mostWrongKeys = 100_000
)

// lockout turns clients away that try one key after another. It counts distinct wrong keys, so that a device that repeats an
// outdated one never locks its household out. What it remembers is bounded however many clients try, and it starts anew with
// each New.
type lockout struct {
	max    int // distinct wrong keys; 0: off
	window time.Duration
	most   int // clients
	// alarm holds a token while somebody may be locked out. Its length is what costs a request the least to look at.
	alarm chan struct{}
	near  atomic.Value // map[string]bool: the first three characters of every peer address that may be locked out

	mu      sync.Mutex
	clients map[netip.Prefix][]attempt // each at most max, the oldest first; guarded by mu
	until   time.Time                  // the end of the last lock-out; guarded by mu
}

// attempt is the first time of a wrong key.
type attempt struct {
	digest [sha256.Size]byte
	at     time.Time
}

func newLockout(config *Config, errs *problems) *lockout {
	l := &lockout{
		window:  parseDuration("wrongKeyWindow", orDefault(config.WrongKeyWindow, defaultWrongKeyWindow), errs),
		most:    mostClients,
		alarm:   make(chan struct{}, 1),
		clients: map[netip.Prefix][]attempt{},
	}
	l.near.Store(map[string]bool{})
	text := orDefault(strings.TrimSpace(config.MaxWrongKeys), defaultMaxWrongKeys)
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 || count > 1000 {
		errs.add("maxWrongKeys", "%q is not a number of keys; allowed are 1 to 1000, and 0 to turn it off", text)
		return l
	}
	l.max = count
	if count*mostClients > mostWrongKeys {
		l.most = mostWrongKeys / count
	}
	return l
}

// alarmed is false while surely nobody is locked out.
func (l *lockout) alarmed() bool {
	return len(l.alarm) != 0
}

// mayConcern tells whether a peer may be locked out itself, so that others do not pay for a closer look.
func (l *lockout) mayConcern(peer string) bool {
	return len(peer) < 3 || l.near.Load().(map[string]bool)[peer[:3]]
}

// review returns why the client is denied: because it has tried too many keys, else for the reason it is denied anyway. A
// client without an address is not counted, since it can't be told from others.
func (l *lockout) review(client netip.Addr, denied *denial) *denial {
	if l.max == 0 || !client.IsValid() {
		return denied
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	house := household(client)
	if rest := l.remaining(house, now); rest > 0 {
		return &denial{reason: "too many wrong keys", wait: rest}
	}
	if denied != nil && denied.wrong && l.add(house, denied.digest, now) {
		denied.reason += fmt.Sprintf(", the last of %d: locked out for %s", l.max, l.remaining(house, now).Round(time.Second))
	}
	return denied
}

// household is what tries keys together: an IPv4 address, or what one IPv6 customer gets.
func household(client netip.Addr) netip.Prefix {
	bits := 64
	if client.Is4() {
		bits = 32
	}
	house, _ := client.Prefix(bits) // can't fail for these
	return house
}

// remaining is how long the household stays locked out. It needs mu.
func (l *lockout) remaining(house netip.Prefix, now time.Time) time.Duration {
	if now.After(l.until) {
		l.calm()
		return 0
	}
	attempts := l.clients[house]
	if len(attempts) < l.max {
		return 0
	}
	return attempts[0].at.Add(l.window).Sub(now)
}

func (l *lockout) calm() {
	select {
	case <-l.alarm:
		l.near.Store(map[string]bool{})
	default:
	}
}

// add remembers a wrong key, and tells whether it was one too many. It needs mu.
func (l *lockout) add(house netip.Prefix, digest [sha256.Size]byte, now time.Time) bool {
	recent := l.recent(house, now)
	for _, earlier := range recent {
		if earlier.digest == digest {
			return false
		}
	}
	if l.clients[house] == nil && len(l.clients) >= l.most {
		l.forgetOne()
	}
	recent = append(recent, attempt{digest: digest, at: now})
	l.clients[house] = recent
	if len(recent) < l.max {
		return false
	}
	l.sound(house, recent[0].at.Add(l.window))
	return true
}

// recent returns the attempts of the household that still count.
func (l *lockout) recent(house netip.Prefix, now time.Time) []attempt {
	attempts := l.clients[house]
	for len(attempts) > 0 && now.Sub(attempts[0].at) >= l.window {
		attempts = attempts[1:]
	}
	return attempts
}

func (l *lockout) sound(house netip.Prefix, until time.Time) {
	if until.After(l.until) {
		l.until = until
	}
	near := map[string]bool{}
	for text := range l.near.Load().(map[string]bool) {
		near[text] = true
	}
	suspect(near, house)
	l.near.Store(near)
	select {
	case l.alarm <- struct{}{}:
	default:
	}
}

// forgetOne makes room. Of a few clients, in the random order of a map, it takes the one with the fewest wrong keys, so that
// a flood of new addresses does not set free who is locked out.
func (l *lockout) forgetOne() {
	const sample = 8
	var least netip.Prefix
	fewest, seen := l.max+1, 0
	for house, attempts := range l.clients {
		if len(attempts) < fewest {
			least, fewest = house, len(attempts)
		}
		seen++
		if seen == sample {
			break
		}
	}
	delete(l.clients, least)
}
