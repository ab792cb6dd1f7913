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
	// mostUnasked is what all connections together may keep in memory that have not yet sent a request, or not all of its head.
	mostUnasked = 32 << 20
	// connCost is about what such a connection takes beside the head: TLS, buffers, and the stacks of those who wait.
	connCost = 48 << 10
)

// connLimiter bounds what clients may have open and unfinished, over TCP and QUIC together. Nobody needs a key for that.
// When a limit is reached, the connection that has kept us waiting longest for a request makes room. Only when none waits is it
// the new connection that is closed.
type connLimiter struct {
	most          int // 0: no limit
	mostPerClient int // 0: no limit
	mostUnasked   int64
	idle          time.Duration // of connections none of whose requests was forwarded
	log           *rareLog

	mu      sync.Mutex
	conns   map[*trackedConn]struct{}
	clients map[netip.Prefix]map[*trackedConn]struct{}
	unasked int64
}

func newConnLimiter(limits config.Limits, idle time.Duration, logger *slog.Logger) *connLimiter {
	return &connLimiter{
		most:          limits.Connections,
		mostPerClient: limits.ConnectionsPerClient,
		mostUnasked:   mostUnasked,
		idle:          idle,
		log:           newRareLog(logger),
		conns:         map[*trackedConn]struct{}{},
		clients:       map[netip.Prefix]map[*trackedConn]struct{}{},
	}
}

// trackedConn is what the limiter knows of a connection. What it guards is guarded by the limiter's mutex.
type trackedConn struct {
	limiter *connLimiter
	client  netip.Prefix
	close   func() // nil for a QUIC handshake, which only its timeout ends

	opened    time.Time
	asked     bool      // it has sent a whole request head
	running   bool      // a request of its is being served
	idleSince time.Time // when the last of them ended
	head      int64     // bytes of unfinished request heads
	headSince time.Time
	charged   int64 // of the limiter's unasked
	gone      bool
	forwarded atomic.Bool   // a request of its has been
	keepAlive time.Duration // how long it may be idle then; 0 for TCP, where net/http sees to that
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

// admit returns nil when there is no room for the connection.
func (l *connLimiter) admit(address net.Addr, closeConn func()) *trackedConn {
	c := &trackedConn{limiter: l, client: clientPrefix(address), close: closeConn, opened: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hasRoomFor(c.client) {
		return nil
	}
	if l.most > 0 && len(l.conns) >= l.most {
		l.log.warn("there are as many connections as limits.connections allows; those that wait longest are closed", "limit", l.most)
		if !l.makeRoom(l.conns) {
			return nil
		}
	}
	l.conns[c] = struct{}{}
	l.addClient(c)
	c.charge()
	return c
}

// hasRoomFor makes room for one more connection of the client, if it can; mu is held.
func (l *connLimiter) hasRoomFor(client netip.Prefix) bool {
	if l.mostPerClient == 0 || len(l.clients[client]) < l.mostPerClient {
		return true
	}
	l.log.warn("a client has as many connections as limits.connectionsPerClient allows; those that wait longest are closed",
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

// belongsTo counts the connection for another client than the peer. It is false when there is no room for it.
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

// isCrowded tells whether unfinished requests take a good part of what they may.
func (l *connLimiter) isCrowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unasked > l.mostUnasked/4
}

// evictOne makes room for who comes next, as when there are no descriptors left.
func (l *connLimiter) evictOne() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.makeRoom(l.conns)
}

// makeRoom closes the connection that has waited longest: for its first request or the rest of one, else for its next; mu is
// held.
func (l *connLimiter) makeRoom(among map[*trackedConn]struct{}) bool {
	var worst *trackedConn
	for c := range among {
		if c.close != nil && !c.running && (worst == nil || c.worseThan(worst)) {
			worst = c
		}
	}
	if worst == nil {
		return false
	}
	l.evict(worst)
	return true
}

func (c *trackedConn) worseThan(other *trackedConn) bool {
	if c.owesHead() != other.owesHead() {
		return c.owesHead()
	}
	return c.waitsSince().Before(other.waitsSince())
}

// owesHead is true of a connection that has not finished what it began: an idle one may be a browser's.
func (c *trackedConn) owesHead() bool {
	return !c.asked || c.head > 0
}

func (c *trackedConn) waitsSince() time.Time {
	switch {
	case !c.asked:
		return c.opened
	case c.head > 0:
		return c.headSince
	default:
		return c.idleSince
	}
}

// evict does not wait: closing takes locks of the connection's own, and comes back to release; mu is held.
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

// isGone is true of a connection that has ended, or is about to.
func (c *trackedConn) isGone() bool {
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return c.gone
}

// evictable says how the connection can be closed, once that is known.
func (c *trackedConn) evictable(closeConn func()) {
	c.change(func() { c.close = closeConn })
}

// receiving notes that n more bytes of an unfinished head have come in.
func (c *trackedConn) receiving(n int64) {
	c.change(func() { c.setHead(c.head + n) })
}

// Pending notes how much there is of unfinished heads, 0 when all are complete.
func (c *trackedConn) Pending(n int64) {
	c.change(func() { c.setHead(n) })
}

// HasAsked notes a complete head, the connection's first.
func (c *trackedConn) HasAsked() {
	c.change(func() { c.asked = true })
}

// startOver is for a connection that is handed to another server, before its first request.
func (c *trackedConn) startOver() {
	c.change(func() {
		c.stopIdleTimer()
		c.asked, c.running, c.head = false, false, 0
	})
}

// serving notes whether the connection has requests that are being served.
func (c *trackedConn) serving(running bool) {
	c.change(func() {
		if c.running && !running {
			c.idleSince = time.Now()
			c.startIdleTimer()
		}
		c.running = running
	})
}

// idleTimeout is shorter for a connection that nobody has let in.
func (c *trackedConn) idleTimeout() time.Duration {
	if c.forwarded.Load() {
		return c.keepAlive
	}
	return c.limiter.idle
}

// startIdleTimer has the connection closed if it is still idle then; mu is held.
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

// stopIdleTimer matters to memory, too: the timer keeps all of the connection; mu is held.
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

// NoteForwarded stands where requests come that have been let in. Connections without one are not kept idle for
// timeouts.keepAlive, but only for timeouts.header: anybody could fill the memory with them.
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

// charge closes the worst connections when all together take too much: those that have the most for the longest time, so that a
// head that is on its way can arrive; mu is held.
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
		l.log.warn("too many connections with unfinished requests; those with the most of it, for the longest time, are closed",
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
