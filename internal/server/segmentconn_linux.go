package server

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// maxMerged is the most that the kernel merges.
	maxMerged = 64 << 10
	// maxControl has room for all that quic-go asks for, over IPv4 and IPv6, and the size of the datagrams.
	maxControl = 256
	// pollTime is how long to wait for a datagram while others are queued.
	pollTime = 200 * time.Microsecond
)

// segmentConn is a UDP socket with UDP_GRO: datagrams of the same size that a client has sent in a row are received with one
// system call. quic-go gets them one by one, with the control messages that hold for all of them: what they are marked with (ECN),
// and the address that they were sent to.
type segmentConn struct {
	*net.UDPConn // also for quic-go, which sends with GSO only on a socket whose options it can read

	queue    *receiveQueue
	buffer   []byte
	controls []byte    // from the kernel
	merged   datagrams // what quic-go has not yet read of it

	mu       sync.Mutex
	deadline time.Time // as set by quic-go
	polls    bool      // the socket has one of setPoll
}

// receiveMerged returns the socket itself if the kernel can't merge.
func receiveMerged(conn net.PacketConn, queue *receiveQueue) net.PacketConn {
	udp, ok := conn.(*net.UDPConn)
	if !ok || !merge(udp) {
		return conn
	}
	return &segmentConn{UDPConn: udp, queue: queue, buffer: make([]byte, maxMerged), controls: make([]byte, maxControl)}
}

func merge(conn *net.UDPConn) (done bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		done = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
	})
	return done && err == nil
}

// ReadBatch is what quic-go calls, from one goroutine, instead of reading from the socket itself.
func (c *segmentConn) ReadBatch(messages []ipv4.Message, _ int) (int, error) {
	for len(c.merged.content) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	d := &c.merged
	n := 0
	for n < len(messages) && len(d.content) > 0 {
		m := &messages[n]
		size := min(d.size, len(d.content))
		m.N = copy(m.Buffers[0], d.content[:size])
		m.NN = copy(m.OOB, d.control)
		m.Addr = d.from
		d.content = d.content[size:]
		n++
	}
	return n, nil
}

// next gets datagrams from the queue or the socket, or none.
func (c *segmentConn) next() error {
	var found bool
	if c.merged, found = c.queue.next(time.Now()); found {
		return nil
	}
	err := c.receive()
	if err == nil && len(c.merged.content) > 0 && !c.queue.arrived(&c.merged, time.Now()) {
		c.merged = datagrams{}
	}
	return err
}

// receive receives nothing if it has waited long enough for the queue.
func (c *segmentConn) receive() error {
	if err := c.setPoll(!c.queue.isEmpty()); err != nil {
		return err
	}
	n, controls, _, from, err := c.ReadMsgUDP(c.buffer, c.controls)
	if err != nil {
		if c.isPoll(err) {
			return nil
		}
		return err
	}
	c.merged = datagrams{content: c.buffer[:n], size: n, from: from, control: c.merged.control[:0]}
	return c.merged.readControl(c.controls[:controls])
}

// readControl takes the size of the datagrams from the control messages, and keeps the others.
func (d *datagrams) readControl(messages []byte) error {
	for len(messages) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(messages)
		if err != nil {
			return err
		}
		if header.Level == unix.IPPROTO_UDP && header.Type == unix.UDP_GRO {
			d.size = int(binary.NativeEndian.Uint32(data))
		} else {
			d.control = append(d.control, messages[:len(messages)-len(rest)]...)
		}
		messages = rest
	}
	return nil
}

// SetReadDeadline is how quic-go ends a read.
func (c *segmentConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.UDPConn.SetReadDeadline(t)
}

// setPoll makes the next read end soon, or no longer.
func (c *segmentConn) setPoll(polls bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deadline.IsZero() || !polls && !c.polls {
		return nil
	}
	c.polls = polls
	var deadline time.Time
	if polls {
		deadline = time.Now().Add(pollTime)
	}
	return c.UDPConn.SetReadDeadline(deadline)
}

// isPoll reports whether a read ended because of setPoll.
func (c *segmentConn) isPoll(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline.IsZero() && errors.Is(err, os.ErrDeadlineExceeded)
}
