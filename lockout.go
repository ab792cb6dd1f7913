package immichaccess

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Limits on what is remembered: the prefixes, and the wrong keys of all of them together. That is at most some 6 MB for
	// clients, and as much for IPv6 networks.
	mostPrefixes  = 10_000
	mostWrongKeys = 100_000

	// networkFactor is how many clients' worth of wrong keys an IPv6 /48 has: a site gets up to 65,536 client prefixes.
	networkFactor = 10
)

// lockout denies clients that try many different keys. It counts distinct wrong keys, so that a device that repeats an outdated
// one never locks out others that share its address. Its memory is bounded however many clients try, and each New starts with
// an empty one.
type lockout struct {
	window time.Duration
	// active holds a token while some client may be locked out. Reading its length is the cheapest check for a request.
	active         chan struct{}
	lockedPrefixes atomic.Value // map[string]bool: the first three characters of every address that may be locked out

	mu       sync.Mutex
	clients  *wrongKeys // guarded by mu
	networks *wrongKeys // IPv6 /48; guarded by mu
	until    time.Time  // the end of the last lockout; guarded by mu
}

func newLockout(maxWrongKeys int, window time.Duration) *lockout {
	l := &lockout{
		window:   window,
		active:   make(chan struct{}, 1),
		clients:  newWrongKeys(maxWrongKeys, window),
		networks: newWrongKeys(maxWrongKeys*networkFactor, window),
	}
	l.lockedPrefixes.Store(map[string]bool{})
	return l
}

// isActive reports whether some client may be locked out.
func (l *lockout) isActive() bool {
	return len(l.active) != 0
}

// mayConcern reports whether a peer may be locked out, so that the others need no exact check.
func (l *lockout) mayConcern(peer string) bool {
	return len(peer) < 3 || l.lockedPrefixes.Load().(map[string]bool)[peer[:3]]
}

// review returns why the client is denied: because it has tried too many keys, or else for the given reason. A client without
// an address is not counted, since it can't be distinguished from others.
func (l *lockout) review(client netip.Addr, denied *denial) *denial {
	if l.clients.limit == 0 || !client.IsValid() {
		return denied
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if rest := l.remaining(client, now); rest > 0 {
		return &denial{reason: "too many wrong keys", wait: rest}
	}
	if denied == nil || !denied.wrong {
		return denied
	}
	l.count(l.clients, clientPrefix(client), denied, now)
	if client.Is6() {
		l.count(l.networks, networkPrefix(client), denied, now)
	}
	return denied
}

// clientPrefix is what counts as one client: an IPv4 address, or the /64 that an IPv6 customer gets at the least.
func clientPrefix(client netip.Addr) netip.Prefix {
	bits := 64
	if client.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(client, bits).Masked()
}

// networkPrefix is usually the most that an IPv6 customer gets (RFC 6177).
func networkPrefix(client netip.Addr) netip.Prefix {
	return netip.PrefixFrom(client, 48).Masked()
}

// remaining returns how long the client stays locked out. The caller holds mu.
func (l *lockout) remaining(client netip.Addr, now time.Time) time.Duration {
	if now.After(l.until) {
		l.deactivate()
		return 0
	}
	rest := l.clients.remaining(clientPrefix(client), now)
	if client.Is6() {
		if ofNetwork := l.networks.remaining(networkPrefix(client), now); ofNetwork > rest {
			return ofNetwork
		}
	}
	return rest
}

// count remembers a wrong key, and begins a lockout if that reaches the limit. The caller holds mu.
func (l *lockout) count(in *wrongKeys, prefix netip.Prefix, denied *denial, now time.Time) {
	if !in.add(prefix, denied.digest, now) {
		return
	}
	rest := in.remaining(prefix, now)
	l.activate(prefix, now.Add(rest))
	denied.reason += fmt.Sprintf(", the last of %d: %s locked out for %s", in.limit, prefixText(prefix), rest.Round(time.Second))
}

func prefixText(prefix netip.Prefix) string {
	if prefix.IsSingleIP() {
		return prefix.Addr().String()
	}
	return prefix.String()
}

func (l *lockout) activate(prefix netip.Prefix, until time.Time) {
	if until.After(l.until) {
		l.until = until
	}
	locked := map[string]bool{}
	for text := range l.lockedPrefixes.Load().(map[string]bool) {
		locked[text] = true
	}
	addBeginnings(locked, prefix)
	l.lockedPrefixes.Store(locked)
	select {
	case l.active <- struct{}{}:
	default:
	}
}

func (l *lockout) deactivate() {
	select {
	case <-l.active:
		l.lockedPrefixes.Store(map[string]bool{})
	default:
	}
}

// wrongKeys remembers which wrong keys have come from which prefixes.
type wrongKeys struct {
	limit       int // distinct wrong keys until a prefix is locked out
	window      time.Duration
	maxPrefixes int
	byPrefix    map[netip.Prefix][]attempt // each at most limit, the oldest first
}

// attempt is the first time that a wrong key was tried.
type attempt struct {
	digest [sha256.Size]byte
	at     time.Time
}

func newWrongKeys(limit int, window time.Duration) *wrongKeys {
	k := &wrongKeys{limit: limit, window: window, maxPrefixes: mostPrefixes, byPrefix: map[netip.Prefix][]attempt{}}
	if limit*mostPrefixes > mostWrongKeys {
		k.maxPrefixes = mostWrongKeys / limit
	}
	return k
}

// remaining returns how long the prefix stays locked out.
func (k *wrongKeys) remaining(prefix netip.Prefix, now time.Time) time.Duration {
	attempts := k.byPrefix[prefix]
	if len(attempts) < k.limit {
		return 0
	}
	return attempts[0].at.Add(k.window).Sub(now)
}

// add remembers a wrong key, and reports whether that reaches the limit.
func (k *wrongKeys) add(prefix netip.Prefix, digest [sha256.Size]byte, now time.Time) bool {
	recent := k.recent(prefix, now)
	for _, earlier := range recent {
		if earlier.digest == digest {
			return false
		}
	}
	if k.byPrefix[prefix] == nil && len(k.byPrefix) >= k.maxPrefixes {
		k.forgetOne()
	}
	recent = append(recent, attempt{digest: digest, at: now})
	k.byPrefix[prefix] = recent
	return len(recent) == k.limit
}

// recent returns the attempts that still count.
func (k *wrongKeys) recent(prefix netip.Prefix, now time.Time) []attempt {
	attempts := k.byPrefix[prefix]
	for len(attempts) > 0 && now.Sub(attempts[0].at) >= k.window {
		attempts = attempts[1:]
	}
	return attempts
}

// forgetOne makes room. Of a few prefixes, in the random order of a map, it drops the one with the fewest wrong keys, so that a
// flood of new addresses does not end the lockout of others.
func (k *wrongKeys) forgetOne() {
	const sample = 8
	var least netip.Prefix
	fewest, seen := k.limit+1, 0
	for prefix, attempts := range k.byPrefix {
		if len(attempts) < fewest {
			least, fewest = prefix, len(attempts)
		}
		seen++
		if seen == sample {
			break
		}
	}
	delete(k.byPrefix, least)
}
