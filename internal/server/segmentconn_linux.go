package server

import (
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// maxMerged is the most that the kernel merges.
	maxMerged = 64 << 10
	// maxControl has room for all that quic-go asks for, over IPv4 and IPv6, and the size of the datagrams.
	maxControl = 256
	// pauseTime is how long quic-go gets to process something before more is put in the queue.
	pauseTime = 200 * time.Microsecond
)

// segmentConn is a UDP socket with UDP_GRO: datagrams of the same size that a client has sent in a row are received as one. quic-go
// gets them one by one, with the control messages that hold for all of them: what they are marked with (ECN), and the address that
// they were sent to.
type segmentConn struct {
	*datagramSocket

	received *message
	content  []byte    // memory for that
	control  []byte    // memory for its control messages
	kept     []byte    // memory for those that quic-go gets
	merged   datagrams // what quic-go has not yet read of the last one

	queue     *receiveQueue
	fromQueue bool // merged is
	pauses    bool // before the socket is read again, if quic-go has to process something first
}

// receiveMerged returns the socket itself if the kernel can't merge.
func receiveMerged(conn net.PacketConn, queue *receiveQueue) net.PacketConn {
	socket := newDatagramSocket(conn)
	if socket == nil {
		return conn
	}
	return &segmentConn{
		datagramSocket: socket, queue: queue,
		received: newMessage(unix.SYS_RECVMSG), content: make([]byte, maxMerged), control: make([]byte, maxControl),
	}
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

// next gets datagrams from the queue or the socket, or none. They have turns: while a long queue is read, the socket must not overflow.
func (c *segmentConn) next() error {
	if c.fromQueue = !c.fromQueue && c.takeQueued(); c.fromQueue {
		c.pauses = false
		return nil
	}
	wasEmpty := c.queue.isEmpty()
	if c.pauses && !wasEmpty {
		c.pauses = false
		time.Sleep(pauseTime)
		return nil
	}
	if err := c.receive(wasEmpty); err != nil || len(c.merged.content) == 0 {
		return err
	}
	if !c.queue.arrived(&c.merged, time.Now()) {
		c.merged = datagrams{}
		c.pauses = wasEmpty
	}
	return nil
}

func (c *segmentConn) takeQueued() (found bool) {
	c.merged, found = c.queue.next(time.Now())
	return found
}

// receive receives nothing if nothing has arrived and it may not wait.
func (c *segmentConn) receive(waits bool) error {
	m := c.received
	m.set(c.content, c.control)
	received, err := c.datagramSocket.receive(m, waits)
	if !received {
		c.pauses = true
		return err
	}
	c.merged = datagrams{content: c.content[:m.n], size: m.n, from: m.from(), control: c.kept[:0]}
	err = c.merged.readControl(c.control[:m.header.Controllen])
	c.kept = c.merged.control
	return err
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
