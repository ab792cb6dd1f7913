package server

import (
	"encoding/binary"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// maxMerged is the most that the kernel merges.
	maxMerged = 64 << 10
	// maxControl has room for all that quic-go asks for, over IPv4 and IPv6, and the size of the datagrams.
	maxControl = 256
)

// segmentConn is a UDP socket with UDP_GRO: datagrams of the same size that a client has sent in a row are received with one
// system call. quic-go gets them one by one, with the control messages that hold for all of them: what they are marked with (ECN),
// and the address that they were sent to.
type segmentConn struct {
	*net.UDPConn // also for quic-go, which sends with GSO only on a socket whose options it can read

	buffer   []byte
	merged   []byte // what has been received, and not yet been read
	size     int    // of each datagram, but the last may be shorter
	from     *net.UDPAddr
	received []byte // control messages from the kernel
	control  []byte // those for quic-go
}

// receiveMerged returns the socket itself if the kernel can't merge.
func receiveMerged(conn net.PacketConn) net.PacketConn {
	udp, ok := conn.(*net.UDPConn)
	if !ok || !merge(udp) {
		return conn
	}
	return &segmentConn{UDPConn: udp, buffer: make([]byte, maxMerged), received: make([]byte, maxControl)}
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
	for len(c.merged) == 0 { // also after an empty datagram
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(messages) && len(c.merged) > 0 {
		m := &messages[n]
		size := min(c.size, len(c.merged))
		m.N = copy(m.Buffers[0], c.merged[:size])
		m.NN = copy(m.OOB, c.control)
		m.Addr = c.from
		c.merged = c.merged[size:]
		n++
	}
	return n, nil
}

func (c *segmentConn) receive() error {
	n, controls, _, from, err := c.ReadMsgUDP(c.buffer, c.received)
	if err != nil {
		return err
	}
	c.merged, c.size, c.from, c.control = c.buffer[:n], n, from, c.control[:0]
	return c.readControl(c.received[:controls])
}

// readControl takes the size of the datagrams from the control messages, and keeps the others.
func (c *segmentConn) readControl(messages []byte) error {
	for len(messages) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(messages)
		if err != nil {
			return err
		}
		if header.Level == unix.IPPROTO_UDP && header.Type == unix.UDP_GRO {
			c.size = int(binary.NativeEndian.Uint32(data))
		} else {
			c.control = append(c.control, messages[:len(messages)-len(rest)]...)
		}
		messages = rest
	}
	return nil
}
