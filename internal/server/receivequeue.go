package server

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// maxUnprocessed is how many datagrams of a client quic-go gets before it has processed some. It drops what exceeds 256 of a
	// connection, and may have some from before the connection was known here.
	maxUnprocessed = 240
	// maxQueued is how many bytes all clients together may have in the queue. One client gets at most half of what the others leave.
	maxQueued = 16 << 20
	// queuedOverhead is how many bytes a queued piece takes beyond what it contains.
	queuedOverhead = 512
	// stallTime is how long the queue of a client may stand still before something must be wrong, such as datagrams with the address of
	// the client that are not from it, and which quic-go therefore never counts.
	stallTime = 100 * time.Millisecond
	// unlimitedTime is how long quic-go then gets everything at once.
	unlimitedTime = time.Second
	// updateTime is how long what has been processed is not asked for again. Otherwise, each datagram that passes would cost as much as
	// there are clients that have to wait.
	updateTime = 200 * time.Microsecond
	// maxCounted is how many connections of one address are asked what they have processed. Programs have one or two; with a thousand,
	// asking would take longer than processing a datagram, and all other clients would wait.
	maxCounted = 8
)

// datagrams have arrived from one client in a row. All are of the same size, but the last may be shorter.
type datagrams struct {
	content []byte
	size    int
	from    *net.UDPAddr
	control []byte // the control messages that hold for all of them, for quic-go
}

func (d *datagrams) count() int {
	return (len(d.content) + d.size - 1) / d.size
}

// queuedSize is how many bytes the datagrams take in the queue.
func (d *datagrams) queuedSize() int {
	return len(d.content) + queuedOverhead
}

// receiveQueue keeps datagrams until quic-go can process them. quic-go drops those that exceed a number for each connection, which
// are a few milliseconds of an upload, and so less than the time that a connection may have to wait for a busy processor. The client
// takes the loss for congestion, and becomes slow for seconds.
//
// Only clients whose handshake is complete are known here. Datagrams of all others go to quic-go at once.
type receiveQueue struct {
	mu      sync.Mutex
	clients map[netip.AddrPort]*quicClient
	waiting []*quicClient // which have something in their queue
	size    int           // of all queues, in bytes
}

// quicClient is the address of one or more connections.
type quicClient struct {
	conns       []byteCounter
	passed      uint64 // bytes that quic-go got
	processed   uint64 // bytes that it has processed
	unprocessed []passedDatagrams
	count       int // of those in unprocessed

	queue          []datagrams
	size           int
	updated        time.Time
	progress       time.Time // when processed was last seen to grow
	unlimitedUntil time.Time
}

// byteCounter is a connection of quic-go, which counts a datagram when it begins to process it.
type byteCounter interface {
	ConnectionStats() quic.ConnectionStats
}

// passedDatagrams are processed once as many bytes are as had been passed with the last of them.
type passedDatagrams struct {
	end   uint64
	count int
}

func newReceiveQueue() *receiveQueue {
	return &receiveQueue{clients: map[netip.AddrPort]*quicClient{}}
}

// follow makes the connection's client known until the connection ends. After it has moved to another address, its datagrams go to
// quic-go at once.
func (q *receiveQueue) follow(conn *quic.Conn) {
	from, ok := conn.RemoteAddr().(*net.UDPAddr)
	if !ok {
		return
	}
	q.add(from.AddrPort(), conn)
	context.AfterFunc(conn.Context(), func() { q.remove(from.AddrPort(), conn) })
}

func (q *receiveQueue) add(from netip.AddrPort, conn byteCounter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clients[from]
	if c == nil {
		c = &quicClient{}
		q.clients[from] = c
	}
	c.conns = append(c.conns, conn)
	c.forgetPassed()
}

func (q *receiveQueue) remove(from netip.AddrPort, conn byteCounter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clients[from]
	c.conns = slices.DeleteFunc(c.conns, func(other byteCounter) bool { return other == conn })
	c.forgetPassed()
	if len(c.conns) == 0 {
		delete(q.clients, from)
	}
}

// arrived returns true if the datagrams may go to quic-go. Otherwise it has put a copy in the queue or, if that is full, drops them.
func (q *receiveQueue) arrived(d *datagrams, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clients[d.from.AddrPort()]
	if c == nil {
		return true
	}
	if len(c.queue) == 0 && c.mayPass(d, now) {
		c.pass(d)
		return true
	}
	if c.size+d.queuedSize() <= maxQueued-q.size {
		q.put(c, d, now)
	}
	return false
}

func (q *receiveQueue) put(c *quicClient, d *datagrams, now time.Time) {
	if len(c.queue) == 0 {
		c.progress = now
		q.waiting = append(q.waiting, c)
	}
	c.queue = append(c.queue, datagrams{content: bytes.Clone(d.content), size: d.size, from: d.from, control: bytes.Clone(d.control)})
	c.size += d.queuedSize()
	q.size += d.queuedSize()
}

// next returns datagrams from the queue that may go to quic-go now. The clients have their turns.
func (q *receiveQueue) next(now time.Time) (d datagrams, found bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, c := range q.waiting {
		if c.mayPass(&c.queue[0], now) {
			return q.take(i), true
		}
	}
	return datagrams{}, false
}

func (q *receiveQueue) take(i int) datagrams {
	c := q.waiting[i]
	d := c.queue[0]
	c.pass(&d)
	c.queue[0] = datagrams{}
	c.queue = c.queue[1:]
	c.size -= d.queuedSize()
	q.size -= d.queuedSize()
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if len(c.queue) > 0 {
		q.waiting = append(q.waiting, c)
	} else {
		c.queue = nil // its array may be large
	}
	return d
}

func (q *receiveQueue) isEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

func (c *quicClient) mayPass(d *datagrams, now time.Time) bool {
	if c.hasRoom(d) || now.Before(c.unlimitedUntil) {
		return true
	}
	if now.Sub(c.updated) < updateTime {
		return false
	}
	c.update(now)
	if c.hasRoom(d) {
		return true
	}
	if len(c.queue) > 0 && now.Sub(c.progress) > stallTime {
		c.unlimitedUntil = now.Add(unlimitedTime)
		c.forgetPassed()
		return true
	}
	return false
}

// hasRoom is always true when quic-go has nothing to process, however many datagrams came together.
func (c *quicClient) hasRoom(d *datagrams) bool {
	return c.count == 0 || c.count+d.count() <= maxUnprocessed
}

func (c *quicClient) pass(d *datagrams) {
	if len(c.conns) > maxCounted {
		return
	}
	if len(c.unprocessed) == maxUnprocessed { // the client is unlimited, and quic-go may have dropped most of them
		c.forgetPassed()
	}
	c.passed += uint64(len(d.content))
	c.count += d.count()
	c.unprocessed = append(c.unprocessed, passedDatagrams{end: c.passed, count: d.count()})
}

func (c *quicClient) update(now time.Time) {
	c.updated = now
	processed := c.sum()
	if processed != c.processed {
		c.processed, c.progress = processed, now
	}
	c.passed = max(c.passed, processed) // some had been passed before the client was known
	i := 0
	for ; i < len(c.unprocessed) && c.unprocessed[i].end <= processed; i++ {
		c.count -= c.unprocessed[i].count
	}
	c.unprocessed = slices.Delete(c.unprocessed, 0, i)
}

func (c *quicClient) sum() (bytes uint64) {
	for _, conn := range c.conns {
		bytes += conn.ConnectionStats().BytesReceived
	}
	return bytes
}

// forgetPassed begins to count anew.
func (c *quicClient) forgetPassed() {
	c.processed = c.sum()
	c.passed, c.unprocessed, c.count = c.processed, nil, 0
}
