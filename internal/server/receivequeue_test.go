package server

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// countingConn is a connection that has processed so many bytes.
type countingConn struct {
	received atomic.Uint64
	creeps   bool // by a byte each time that it is asked
}

func (c *countingConn) ConnectionStats() quic.ConnectionStats {
	if c.creeps {
		c.received.Add(1)
	}
	return quic.ConnectionStats{BytesReceived: c.received.Load()}
}

// queueTest sends datagrams of 1,000 bytes, which are numbered, and records which of them quic-go gets.
type queueTest struct {
	queue *receiveQueue
	now   time.Time
	sent  int
	got   []string
}

const queueTestSize = 1000

func newQueueTest() *queueTest {
	return &queueTest{queue: newReceiveQueue(), now: time.Now()}
}

func clientAddr(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)
}

// send sends so many in a row, and returns their number.
func (q *queueTest) send(port uint16, datagramsInRow int) string {
	q.sent++
	number := strconv.Itoa(q.sent)
	content := make([]byte, datagramsInRow*queueTestSize)
	copy(content, number)
	d := &datagrams{content: content, size: queueTestSize, from: net.UDPAddrFromAddrPort(clientAddr(port))}
	if q.queue.arrived(d, q.now) {
		q.got = append(q.got, number)
	}
	clear(content) // the caller uses it again
	return number
}

// takeAll returns what quic-go has got.
func (q *queueTest) takeAll() []string {
	for {
		d, found := q.queue.next(q.now)
		if !found {
			break
		}
		q.got = append(q.got, strings.TrimRight(string(d.content), "\x00"))
	}
	got := q.got
	q.got = nil
	return got
}

// process has the connection process so many bytes more, and the client wait for it to be seen.
func (q *queueTest) process(conn *countingConn, bytes uint64) {
	conn.received.Add(bytes)
	q.now = q.now.Add(updateTime)
}

func (q *queueTest) want(t *testing.T, when string, numbers ...string) {
	t.Helper()
	if got := q.takeAll(); !slices.Equal(got, numbers) {
		t.Errorf("%s: quic-go got %q instead of %q", when, got, numbers)
	}
}

// TestQueueFollowsWhatIsProcessed has one client whose datagrams come faster than they are processed.
func TestQueueFollowsWhatIsProcessed(t *testing.T) {
	t.Parallel()
	q, conn := newQueueTest(), &countingConn{}
	conn.received.Store(5000) // in its handshake
	q.queue.add(clientAddr(1), conn)
	a, b, c := q.send(1, maxUnprocessed-60), q.send(1, 50), q.send(1, 20)
	d, other := q.send(1, 1), q.send(2, maxUnprocessed+1)
	q.want(t, "nothing is processed", a, b, other)
	q.process(conn, (maxUnprocessed-60)*queueTestSize-1)
	q.want(t, "all but a byte of the first are processed")
	q.process(conn, 1)
	q.want(t, "the first are processed", c, d)
	q.want(t, "nothing has come")
	if left := q.queue.clients[clientAddr(1)].size; !q.queue.isEmpty() || q.queue.size != 0 || left != 0 {
		t.Errorf("%d bytes are left in the queue, %d of the client", q.queue.size, left)
	}
}

// TestQueueAllowsForEarlierDatagrams processes some that came before the connection was known.
func TestQueueAllowsForEarlierDatagrams(t *testing.T) {
	t.Parallel()
	q, conn := newQueueTest(), &countingConn{}
	q.queue.add(clientAddr(1), conn)
	conn.received.Store(100 * queueTestSize)
	all := []string{q.send(1, maxUnprocessed), q.send(1, maxUnprocessed)}
	q.want(t, "with a lead", all[0])
	q.process(conn, maxUnprocessed*queueTestSize)
	q.want(t, "later", all[1])
	last := q.send(1, 1)
	q.process(conn, maxUnprocessed*queueTestSize-1)
	q.want(t, "with one that is not processed")
	q.process(conn, 1)
	q.want(t, "when all is processed", last)
}

// TestManyTogetherPass has more datagrams in a row than quic-go takes.
func TestManyTogetherPass(t *testing.T) {
	t.Parallel()
	q, conn := newQueueTest(), &countingConn{}
	q.queue.add(clientAddr(1), conn)
	a, b := q.send(1, maxUnprocessed+1), q.send(1, 1)
	q.want(t, "nothing was to be processed", a)
	q.process(conn, (maxUnprocessed+1)*queueTestSize)
	q.want(t, "all is processed", b)
}

// TestQueuesOfClientsHaveTurns processes everything of three clients at once.
func TestQueuesOfClientsHaveTurns(t *testing.T) {
	t.Parallel()
	q := newQueueTest()
	var conns [3]countingConn
	for i := range conns {
		q.queue.add(clientAddr(uint16(i)), &conns[i])
		q.send(uint16(i), maxUnprocessed)
	}
	q.takeAll()
	var numbers [3][2]string
	for i := range conns {
		numbers[i] = [2]string{q.send(uint16(i), 1), q.send(uint16(i), 1)}
	}
	q.process(&conns[1], maxUnprocessed*queueTestSize)
	q.process(&conns[2], maxUnprocessed*queueTestSize)
	q.want(t, "in turn", numbers[1][0], numbers[2][0], numbers[1][1], numbers[2][1])
}

// TestQueueIsBounded sends more than it may hold, and much that is small.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 60} {
		q := newQueueTest()
		var conns [3]countingConn
		held := map[uint16]int{}
		for port := range uint16(3) {
			q.queue.add(clientAddr(port), &conns[port])
			q.send(port, maxUnprocessed)
			for before := -1; before != q.queue.size; held[port]++ {
				before = q.queue.size
				q.send(port, count)
			}
		}
		if q.queue.size > maxQueued || held[0] < 2*held[1]-3 || held[1] < 2*held[2]-3 || held[2] < 10 {
			t.Errorf("%d bytes are queued, of clients with %d pieces", q.queue.size, held)
		}
	}
}

// TestQueueGivesUpWhenStalled never counts some datagrams, as if they were not from the client.
func TestQueueGivesUpWhenStalled(t *testing.T) {
	t.Parallel()
	q, conn := newQueueTest(), &countingConn{}
	q.queue.add(clientAddr(1), conn)
	a, b := q.send(1, maxUnprocessed), q.send(1, maxUnprocessed)
	q.now = q.now.Add(stallTime)
	q.want(t, "for a moment", a)
	q.now = q.now.Add(updateTime)
	q.want(t, "after the moment", b)
	q.now = q.now.Add(unlimitedTime - 1)
	c, d := q.send(1, maxUnprocessed), q.send(1, maxUnprocessed)
	q.want(t, "without a limit", c, d)
	q.now = q.now.Add(1)
	q.send(1, maxUnprocessed)
	q.want(t, "with the limit again")
	q.process(conn, 3*maxUnprocessed*queueTestSize)
	q.want(t, "what is counted is processed", "5")
}

// TestUnlimitedClientIsNotRemembered has one that sends what is never counted, and then nothing more.
func TestUnlimitedClientIsNotRemembered(t *testing.T) {
	t.Parallel()
	q, conn := newQueueTest(), &countingConn{}
	q.queue.add(clientAddr(1), conn)
	for range 10 * maxUnprocessed {
		q.send(1, 1)
	}
	q.takeAll()
	q.now = q.now.Add(stallTime + 1)
	q.takeAll()
	for range 10 * maxUnprocessed {
		q.send(1, 1)
	}
	c := q.queue.clients[clientAddr(1)]
	if got := len(q.takeAll()); got != 10*maxUnprocessed {
		t.Errorf("quic-go got %d", got)
	}
	if len(c.unprocessed) > maxUnprocessed || cap(c.unprocessed) > 4*maxUnprocessed || cap(c.queue) > 0 {
		t.Errorf("%d are remembered, with room for %d, and for %d in the queue", len(c.unprocessed), cap(c.unprocessed), cap(c.queue))
	}
}

// TestWaitingClientIsNotAskedForEachDatagram has two, of which one may go on.
func TestWaitingClientIsNotAskedForEachDatagram(t *testing.T) {
	t.Parallel()
	q, waiting := newQueueTest(), &countingConn{creeps: true}
	q.queue.add(clientAddr(1), waiting)
	q.send(1, maxUnprocessed)
	for range 100 {
		q.send(1, 1)
		q.send(2, 1)
		q.takeAll()
	}
	const whenAdded, whenFull = 1, 1
	if asked := waiting.received.Load(); asked != whenAdded+whenFull {
		t.Errorf("it was asked %d times", asked)
	}
}

// TestManyConnectionsAreNotCounted has more of one address than can be asked for each datagram.
func TestManyConnectionsAreNotCounted(t *testing.T) {
	t.Parallel()
	q, conn := newQueueTest(), &countingConn{}
	for range maxCounted {
		q.queue.add(clientAddr(1), &countingConn{})
	}
	first, second := q.send(1, maxUnprocessed), q.send(1, 1)
	q.want(t, "with the most that are counted", first)
	q.queue.add(clientAddr(1), conn)
	third, fourth := q.send(1, maxUnprocessed), q.send(1, maxUnprocessed)
	q.want(t, "with one more", second, third, fourth)
	q.queue.remove(clientAddr(1), conn)
	fifth := q.send(1, maxUnprocessed)
	q.send(1, 1)
	q.want(t, "without it", fifth)
}

// TestQueueSeesProgress has a client that is slow, but not stalled.
func TestQueueSeesProgress(t *testing.T) {
	t.Parallel()
	q, conn := newQueueTest(), &countingConn{}
	q.queue.add(clientAddr(1), conn)
	first := q.send(1, maxUnprocessed)
	q.now = q.now.Add(time.Hour)
	q.send(1, 1)
	q.want(t, "long after the last progress", first)
	for range 3 {
		q.now = q.now.Add(stallTime)
		conn.received.Add(1)
		q.want(t, "with progress")
	}
}

// TestClosedConnectionsAreForgotten closes one of two connections with the same address, and then the other.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	t.Parallel()
	q := newQueueTest()
	var first, second countingConn
	first.received.Store(maxUnprocessed * queueTestSize)
	q.queue.add(clientAddr(1), &first)
	q.queue.add(clientAddr(1), &second)
	a, b := q.send(1, maxUnprocessed), q.send(1, maxUnprocessed)
	q.want(t, "with both", a)
	q.queue.remove(clientAddr(1), &first)
	q.want(t, "without the first", b)
	c := q.send(1, 1)
	q.want(t, "which may have had what was not processed")
	q.queue.remove(clientAddr(1), &second)
	q.want(t, "without any", c)
	if len(q.queue.clients) != 0 {
		t.Errorf("%d clients are known", len(q.queue.clients))
	}
}
