package server

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagramSocket sends and receives with system calls that Go's scheduler is not told of. Of one that it is told of, and that takes
// more than 20 µs, as sending 20 KB does, it assumes that it waits: it gives the processor to another thread, and looks every 20 µs
// for the next millisecond whether there are more such calls (retake and sysmon in runtime/proc.go). These calls never wait.
type datagramSocket struct {
	*net.UDPConn // also for quic-go, which sends with GSO only on a socket whose options it can read

	raw  syscall.RawConn
	ipv6 bool      // addresses of IPv4 are written as those of IPv6
	idle sync.Pool // of *message, to send
}

// newDatagramSocket returns nil if the kernel can't merge what a client sends.
func newDatagramSocket(conn net.PacketConn) *datagramSocket {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &datagramSocket{UDPConn: udp, raw: raw, idle: sync.Pool{New: func() any { return newMessage(unix.SYS_SENDMSG) }}}
	merges := false
	err = raw.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		s.ipv6 = domain == unix.AF_INET6
		merges = err == nil && unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
	})
	if err != nil || !merges {
		return nil
	}
	return s
}

// WriteMsgUDP is what quic-go calls to send datagrams, from one goroutine for each connection. It drops the connection on any error, so
// what could not be sent, but may be later, counts as lost on the way: it is sent again, as all that is lost.
func (s *datagramSocket) WriteMsgUDP(content, control []byte, to *net.UDPAddr) (n, controls int, err error) {
	n, controls, err = s.send(content, control, to)
	if isLoss(err) {
		return len(content), len(control), nil
	}
	return n, controls, err
}

// isLoss is true when a packet filter refuses a datagram, perhaps since its table of connections is full, when the network is down or
// has no route or address for a moment, and when there is no memory.
func isLoss(err error) bool {
	cause, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return false
	}
	switch cause {
	case unix.EPERM, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EADDRNOTAVAIL, unix.ENOBUFS, unix.ENOMEM:
		return true
	}
	return false
}

func (s *datagramSocket) send(content, control []byte, to *net.UDPAddr) (n, controls int, err error) {
	if to.Zone != "" {
		return s.UDPConn.WriteMsgUDP(content, control, to)
	}
	m := s.idle.Get().(*message)
	defer s.idle.Put(m)
	m.set(content, control)
	m.setAddress(to.IP, to.Port, s.ipv6)
	m.waits = true
	err = s.raw.Write(m.try)
	if err == nil && m.err != 0 {
		err = &net.OpError{Op: "write", Net: "udp", Source: s.LocalAddr(), Addr: to, Err: os.NewSyscallError("sendmsg", m.err)}
	}
	if err != nil {
		return 0, 0, err
	}
	return m.n, len(control), nil
}

// receive receives nothing if nothing has arrived and it may not wait.
func (s *datagramSocket) receive(m *message, waits bool) (received bool, err error) {
	m.waits = waits
	switch err := s.raw.Read(m.try); {
	case err != nil:
		return false, err
	case m.err == unix.EAGAIN:
		return false, nil
	case m.err != 0:
		return false, &net.OpError{Op: "read", Net: "udp", Source: s.LocalAddr(), Err: os.NewSyscallError("recvmsg", m.err)}
	}
	return true, nil
}

// message is what one system call sends or receives.
type message struct {
	header  unix.Msghdr
	content unix.Iovec
	address unix.RawSockaddrInet6 // or the shorter RawSockaddrInet4

	try   func(socket uintptr) (done bool) // of syscall.RawConn
	waits bool
	n     int
	err   unix.Errno
}

// newMessage has the memory of its system call in one place, since that of the stack may move.
func newMessage(call uintptr) *message {
	m := &message{}
	m.header.Iov = &m.content
	m.header.SetIovlen(1)
	m.header.Name = (*byte)(unsafe.Pointer(&m.address))
	m.try = func(socket uintptr) bool {
		m.n, m.err = m.pass(call, socket)
		return m.err != unix.EAGAIN || !m.waits
	}
	return m
}

func (m *message) set(content, control []byte) {
	m.content.Base = unsafe.SliceData(content)
	m.content.SetLen(len(content))
	m.header.Control = unsafe.SliceData(control)
	m.header.SetControllen(len(control))
	m.header.Namelen = unix.SizeofSockaddrInet6
}

func (m *message) pass(call, socket uintptr) (int, unix.Errno) {
	for {
		n, _, err := unix.RawSyscall(call, socket, uintptr(unsafe.Pointer(&m.header)), unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}

func (m *message) setAddress(ip net.IP, port int, ipv6 bool) {
	ip4 := ip.To4()
	if ip4 == nil || ipv6 {
		m.address = unix.RawSockaddrInet6{Family: unix.AF_INET6}
		copy(m.address.Addr[:], ip.To16())
	} else {
		a := m.address4()
		a.Family = unix.AF_INET
		copy(a.Addr[:], ip4)
		m.header.Namelen = unix.SizeofSockaddrInet4
	}
	binary.BigEndian.PutUint16(m.port(), uint16(port)) //nolint:gosec // of an address
}

// from is who has sent what was received.
func (m *message) from() *net.UDPAddr {
	ip := netip.AddrFrom16(m.address.Addr)
	if m.address.Family == unix.AF_INET {
		ip = netip.AddrFrom4(m.address4().Addr)
	}
	if m.address.Scope_id != 0 {
		ip = ip.WithZone(zoneName(int(m.address.Scope_id)))
	}
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, binary.BigEndian.Uint16(m.port())))
}

func zoneName(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}

func (m *message) address4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&m.address))
}

// port is at the same place in addresses of both versions.
func (m *message) port() []byte {
	return (*[2]byte)(unsafe.Pointer(&m.address.Port))[:]
}
