package server

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
)

const (
	// mostUnasked is how much memory all connections without a complete first request, or with an unfinished head, may take
	// together.
	mostUnasked = 32 << 20
	// connCost is about what such a connection takes in addition to the head: TLS, buffers, and the stacks of its goroutines.
	connCost = 48 << 10
)

// connLimiter bounds the open connections and unfinished requests of clients, over TCP and QUIC together, whether or not they
// have a key. At a limit, it closes the connection that has used up most of its time. If all connections are serving requests
// that were forwarded, the new one is closed.
type connLimiter struct {
	most          int // 0: no limit
	mostPerClient int // 0: no limit
	mostUnasked   int64
	header        time.Duration // timeouts.header
	keepAlive     time.Duration // timeouts.keepAlive
	log           *rareLog

	mu      sync.Mutex
	conns   map[*trackedConn]struct{}
	clients map[netip.Prefix]map[*trackedConn]struct{}
	unasked int64
}

func newConnLimiter(limits config.Limits, timeouts *config.Timeouts, logger *slog.Logger) *connLimiter {
	return &connLimiter{
		most:          limits.Connections,
		mostPerClient: limits.ConnectionsPerClient,
		mostUnasked:   mostUnasked,
		header:        time.Duration(timeouts.Header),
		keepAlive:     time.Duration(timeouts.KeepAlive),
		log:           newRareLog(logger),
		conns:         map[*trackedConn]struct{}{},
		clients:       map[netip.Prefix]map[*trackedConn]struct{}{},
	}
}

// trackedConn is the limiter's record of a connection. Its guarded fields are guarded by the limiter's mutex.
type trackedConn struct {
	limiter *connLimiter
	client  netip.Prefix
	close   func() // nil for a QUIC handshake, which only its timeout ends

	opened    time.Time
	asked     bool      // it has sent a complete request head
	running   bool      // one of its requests is being served
	idleSince time.Time // when the last of them ended
	head      int64     // bytes of unfinished request heads
	headSince time.Time
	charged   int64 // its share of the limiter's unasked
	gone      bool
	forwarded atomic.Bool   // one of its requests was forwarded
	keepAlive time.Duration // how long it may be idle then; 0 for TCP, where net/http has that timeout
	idleTimer *time.Timer
}

// clientPrefix is what counts as one client: an IPv4 address, or an IPv6 /64, which one subscriber has.
func clientPrefix(address net.Addr) netip.Prefix {
	parsed, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Prefix{}
	}
	const subscriber = 64
	ip := parsed.Addr().Unmap().WithZone("")
	if ip.Is6() {
		return netip.PrefixFrom(ip, subscriber).Masked()
	}
	return netip.PrefixFrom(ip, ip.BitLen())
}

// admit returns nil if there is no room for the connection.
func (l *connLimiter) admit(address net.Addr, closeConn func()) *trackedConn {
	c := &trackedConn{limiter: l, client: clientPrefix(address), close: closeConn, opened: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hasRoomFor(c.client) {
		return nil
	}
	if l.most > 0 && len(l.conns) >= l.most {
		l.log.warn("limits.connections is reached; connections without an authorized request and idle ones are closed, new ones if all are busy", "limit", l.most)
		if !l.makeRoom(l.conns) {
			return nil
		}
	}
	l.conns[c] = struct{}{}
	l.addClient(c)
	c.charge()
	return c
}

// hasRoomFor makes room for one more connection of the client, if possible; mu is held.
func (l *connLimiter) hasRoomFor(client netip.Prefix) bool {
	if l.mostPerClient == 0 || len(l.clients[client]) < l.mostPerClient {
		return true
	}
	l.log.warn("a client has reached limits.connectionsPerClient; its connections without an authorized request and idle ones are closed, new ones if all are busy",
		"client", client, "limit", l.mostPerClient)
	return l.makeRoom(l.clients[client])
}

func (l *connLimiter) addClient(c *trackedConn) {
	if l.clients[c.client] == nil {
		l.clients[c.client] = map[*trackedConn]struct{}{}
	}
	l.clients[c.client][c] = struct{}{}
}

func (l *connLimiter) removeClient(c *trackedConn) {
	delete(l.clients[c.client], c)
	if len(l.clients[c.client]) == 0 {
		delete(l.clients, c.client)
	}
}

// belongsTo counts the connection for a client other than the peer. It returns false if there is no room for it.
func (c *trackedConn) belongsTo(address net.Addr) bool {
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	client := clientPrefix(address)
	if c.gone || client != c.client && !l.hasRoomFor(client) {
		return false
	}
	l.removeClient(c)
	c.client = client
	l.addClient(c)
	return true
}

// isCrowded reports whether unfinished requests take a large part of what they may.
func (l *connLimiter) isCrowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unasked > l.mostUnasked/4
}

// evictOne makes room for the next connection, for example when no file descriptors are left.
func (l *connLimiter) evictOne() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.makeRoom(l.conns)
}

// makeRoom closes the connection that has used up most of its time; mu is held.
func (l *connLimiter) makeRoom(among map[*trackedConn]struct{}) bool {
	now := time.Now()
	var worst *trackedConn
	for c := range among {
		if c.mayMakeRoom() && (worst == nil || c.usedTime(now) > worst.usedTime(now)) {
			worst = c
		}
	}
	if worst == nil {
		return false
	}
	l.evict(worst)
	return true
}

// mayMakeRoom is also true while a request is refused: a client can make that last, by not accepting the response.
func (c *trackedConn) mayMakeRoom() bool {
	return c.close != nil && (!c.running || !c.forwarded.Load())
}

// usedTime is the part of its timeout that a waiting connection has used up: of timeouts.keepAlive between requests that are
// forwarded, of timeouts.header otherwise. Without a key, a client can't begin anew, which would make those that have just
// connected the next to be closed.
func (c *trackedConn) usedTime(now time.Time) float64 {
	timeout := c.limiter.header
	if c.forwarded.Load() && c.head == 0 {
		timeout = c.limiter.keepAlive
	}
	return float64(now.Sub(c.waitsSince())) / float64(timeout)
}

func (c *trackedConn) waitsSince() time.Time {
	switch {
	case !c.forwarded.Load():
		return c.opened
	case c.head > 0:
		return c.headSince
	default:
		return c.idleSince
	}
}

// owesHead is true of a connection with an unfinished head, or none at all.
func (c *trackedConn) owesHead() bool {
	return !c.asked || c.head > 0
}

// evict does not wait: closing takes locks of the connection's own, and then calls release; mu is held.
func (l *connLimiter) evict(c *trackedConn) {
	l.forget(c)
	go c.close()
}

func (l *connLimiter) forget(c *trackedConn) {
	if c.gone {
		return
	}
	c.gone = true
	c.stopIdleTimer()
	l.unasked -= c.charged
	delete(l.conns, c)
	l.removeClient(c)
}

// release is called when the connection has ended.
func (c *trackedConn) release() {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	c.limiter.forget(c)
}

// isGone is true of a connection that has ended, or is being closed.
func (c *trackedConn) isGone() bool {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.gone
}

// evictable sets how to close the connection, once that is known.
func (c *trackedConn) evictable(closeConn func()) {
	c.change(func() { c.close = closeConn })
}

// receiving records that n more bytes of an unfinished head have arrived.
func (c *trackedConn) receiving(n int64) {
	c.change(func() { c.setHead(c.head + n) })
}

// Pending records how many bytes of unfinished heads there are, 0 if all are complete.
func (c *trackedConn) Pending(n int64) {
	c.change(func() { c.setHead(n) })
}

// HasAsked records a complete head, the connection's first.
func (c *trackedConn) HasAsked() {
	c.change(func() { c.asked = true })
}

// startOver is for a connection that is passed to another server before its first request.
func (c *trackedConn) startOver() {
	c.change(func() {
		c.stopIdleTimer()
		c.asked, c.running, c.head = false, false, 0
	})
}

// Serving records whether requests of the connection are being served.
func (c *trackedConn) Serving(running bool) {
	c.change(func() {
		if c.running && !running {
			c.idleSince = time.Now()
			c.startIdleTimer()
		}
		c.running = running
	})
}

// idleTimeout is shorter for a connection none of whose requests was authorized.
func (c *trackedConn) idleTimeout() time.Duration {
	if c.forwarded.Load() {
		return c.keepAlive
	}
	return c.limiter.header
}

// startIdleTimer closes the connection if it is still idle then; mu is held.
func (c *trackedConn) startIdleTimer() {
	idle := c.idleTimeout()
	switch {
	case idle == 0:
		c.stopIdleTimer()
	case c.idleTimer == nil:
		c.idleTimer = time.AfterFunc(idle, c.closeIdle)
	default:
		c.idleTimer.Reset(idle)
	}
}

// stopIdleTimer frees memory, too: the timer refers to the connection; mu is held.
func (c *trackedConn) stopIdleTimer() {
	if c.idleTimer != nil {
		c.idleTimer.Stop()
	}
}

func (c *trackedConn) closeIdle() {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	idle := c.idleTimeout()
	if !c.gone && !c.running && c.close != nil && idle > 0 && time.Since(c.idleSince) >= idle {
		c.limiter.evict(c)
	}
}

type connKey struct{}

// NoteForwarded wraps the handler of authorized requests. A connection without one is kept idle for timeouts.header only,
// instead of timeouts.keepAlive: anybody could fill the memory with them.
func NoteForwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*trackedConn); ok && !c.forwarded.Load() {
			c.forwarded.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}

func (c *trackedConn) change(do func()) {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	if !c.gone {
		do()
		c.charge()
	}
}

func (c *trackedConn) setHead(n int64) {
	if c.head == 0 {
		c.headSince = time.Now()
	}
	c.head = n
}

// charge closes the worst connections if all together take too much: those with the largest heads for the longest time, so that
// a head that is still arriving can complete; mu is held.
func (c *trackedConn) charge() {
	l := c.limiter
	cost := int64(0)
	if c.owesHead() && c.close != nil {
		cost = connCost + c.head
	}
	l.unasked += cost - c.charged
	c.charged = cost
	for l.unasked > l.mostUnasked {
		worst := l.costliest()
		if worst == nil {
			return
		}
		l.log.warn("unfinished requests take too much memory; the connections with the largest and oldest ones are closed",
			"client", worst.client)
		l.evict(worst)
	}
}

func (l *connLimiter) costliest() *trackedConn {
	now := time.Now()
	weight := func(c *trackedConn) float64 {
		return float64(c.charged) * float64(now.Sub(c.waitsSince())+time.Millisecond)
	}
	var worst *trackedConn
	for c := range l.conns {
		if c.charged > 0 && (worst == nil || weight(c) > weight(worst)) {
			worst = c
		}
	}
	return worst
}
