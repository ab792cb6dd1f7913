package server

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// TestDatagramSocketsKnowAddresses has datagrams go back to where they came from, and compares with what Go says of the sockets.
func TestDatagramSocketsKnowAddresses(t *testing.T) {
	t.Parallel()
	for _, over := range ipVersions {
		t.Run(over.name, func(t *testing.T) {
			t.Parallel()
			receiver, client := segmentPair(t, over.network, over.listen, over.dial)
			_ = client.SetDeadline(time.Now().Add(patience))
			_, _ = client.Write([]byte("ping"))
			messages := []ipv4.Message{{Buffers: [][]byte{make([]byte, quicMaxDatagram)}}}
			if _, err := receiver.ReadBatch(messages, 0); err != nil {
				t.Fatal(err)
			}
			from := messages[0].Addr.(*net.UDPAddr)
			if from.String() != client.LocalAddr().String() {
				t.Errorf("from %s instead of %s", from, client.LocalAddr())
			}
			if n, _, err := receiver.WriteMsgUDP([]byte("pong"), nil, from); n != len("pong") || err != nil {
				t.Error(n, err)
			}
			answer := make([]byte, quicMaxDatagram)
			if n, err := client.Read(answer); string(answer[:n]) != "pong" || err != nil {
				t.Errorf("%q, %v", answer[:n], err)
			}
		})
	}
}

// TestDatagramSocketsKnowZones has an address that is valid on one network only.
func TestDatagramSocketsKnowZones(t *testing.T) {
	t.Parallel()
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	m := newMessage(unix.SYS_RECVMSG)
	for index, want := range map[int]string{0: "[fe80::1]:53", loopback.Index: "[fe80::1%lo]:53", 1 << 30: "[fe80::1%1073741824]:53"} {
		m.setAddress(net.ParseIP("fe80::1"), 53, true)
		m.address.Scope_id = uint32(index)
		if got := m.from().String(); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
	socket, _ := segmentPair(t, "udp6", "[::]:0", "::1")
	zoned := &net.UDPAddr{IP: net.ParseIP("fe80::1"), Port: 53, Zone: "1073741824"}
	_, _, want := socket.UDPConn.WriteMsgUDP([]byte("content"), nil, zoned)
	if _, _, err := socket.send([]byte("content"), nil, zoned); err == nil || errorText(err) != errorText(want) {
		t.Errorf("to a zone that does not exist: %v instead of %v", err, want)
	}
}

// TestDatagramSocketsFailLikeOthers compares errors with those of Go's sockets: quic-go recognizes some.
func TestDatagramSocketsFailLikeOthers(t *testing.T) {
	t.Parallel()
	socket, client := segmentPair(t, "udp", "[::]:0", "127.0.0.1")
	to := client.LocalAddr().(*net.UDPAddr)
	for _, sent := range []struct {
		name    string
		content []byte
		control string
		to      *net.UDPAddr
		want    error
	}{
		{"too large", make([]byte, 1<<16), "", to, unix.EMSGSIZE},
		{"a control message of no length", []byte("content"), strings.Repeat("\x00", unix.SizeofCmsghdr), to, unix.EINVAL},
		{"no port", []byte("content"), "", &net.UDPAddr{IP: to.IP}, unix.EINVAL},
	} {
		_, _, want := socket.UDPConn.WriteMsgUDP(sent.content, []byte(sent.control), sent.to)
		_, _, err := socket.WriteMsgUDP(sent.content, []byte(sent.control), sent.to)
		var systemCall *os.SyscallError
		if !errors.Is(err, sent.want) || errorText(err) != errorText(want) || !errors.As(err, &systemCall) {
			t.Errorf("%s: %v instead of %v", sent.name, err, want)
		}
	}
	_ = socket.SetDeadline(time.Now().Add(-time.Second))
	wantSocketErrors(t, socket, to, os.ErrDeadlineExceeded)
	_ = socket.Close()
	wantSocketErrors(t, socket, to, net.ErrClosed)
}

// TestDatagramSocketsSendWithControlMessages cuts what is sent into datagrams of other sizes each time (GSO), from one memory.
func TestDatagramSocketsSendWithControlMessages(t *testing.T) {
	t.Parallel()
	socket, client := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	_ = client.SetDeadline(time.Now().Add(patience))
	for _, sent := range []struct {
		content string
		size    uint16
		want    []string
	}{{"aabb", 2, []string{"aa", "bb"}}, {"ccccc", 3, []string{"ccc", "cc"}}, {"dddd", 0, []string{"dddd"}}, {"ee", 1, []string{"e", "e"}}} {
		control := segmentSize(sent.size)
		if n, controls, err := socket.WriteMsgUDP([]byte(sent.content), control, client.LocalAddr().(*net.UDPAddr)); n != len(sent.content) || controls != len(control) || err != nil {
			t.Error(n, controls, err)
		}
		for _, want := range sent.want {
			got := make([]byte, quicMaxDatagram)
			if n, err := client.Read(got); string(got[:n]) != want || err != nil {
				t.Fatalf("%q, %v instead of %q", got[:n], err, want)
			}
		}
	}
}

// segmentSize is a control message, none without a size.
func segmentSize(size uint16) []byte {
	if size == 0 {
		return nil
	}
	control := make([]byte, unix.CmsgSpace(2))
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	header.Level, header.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	header.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], size)
	return control
}

// fullConn has no room for what is to be sent first, like a TCP connection of which the peer reads nothing.
type fullConn struct {
	syscall.RawConn

	full syscall.RawConn
}

func (c *fullConn) Write(attempt func(socket uintptr) (done bool)) error {
	done := false
	if err := c.full.Control(func(socket uintptr) { done = attempt(socket) }); done || err != nil {
		return err
	}
	return c.RawConn.Write(attempt)
}

// TestDatagramSocketsWaitForRoom sends when there is none at first, as on a network that is slower than the server.
func TestDatagramSocketsWaitForRoom(t *testing.T) {
	t.Parallel()
	socket, client := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	full, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	for n := 1; n > 0; {
		_ = full.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		n, _ = full.Write(make([]byte, 1<<20))
	}
	raw, err := full.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	socket.raw = &fullConn{socket.raw, raw}
	if n, _, err := socket.WriteMsgUDP([]byte("content"), nil, client.LocalAddr().(*net.UDPAddr)); n != len("content") || err != nil {
		t.Error(n, err)
	}
}

// TestDatagramSocketsReceiveErrors reads that nobody is there, which the kernel reports to sockets that ask for it.
func TestDatagramSocketsReceiveErrors(t *testing.T) {
	t.Parallel()
	socket, _ := segmentPair(t, "udp", "127.0.0.1:0", "127.0.0.1")
	setOptions(t, socket.UDPConn, [3]int{unix.IPPROTO_IP, unix.IP_RECVERR, 1})
	refused := func(read func() error) string {
		_, _, _ = socket.WriteMsgUDP([]byte("content"), nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
		err := read()
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Error(err)
		}
		return errorText(err)
	}
	messages := []ipv4.Message{{Buffers: [][]byte{make([]byte, quicMaxDatagram)}}}
	got := refused(func() error {
		_, err := socket.ReadBatch(messages, 0)
		return err
	})
	want := refused(func() error {
		_, _, _, _, err := socket.ReadMsgUDP(messages[0].Buffers[0], nil)
		return err
	})
	if got != want {
		t.Errorf("%s instead of %s", got, want)
	}
}

// countingRaw counts how often the socket is read.
type countingRaw struct {
	syscall.RawConn

	reads int
}

func (c *countingRaw) Read(attempt func(socket uintptr) (done bool)) error {
	c.reads++
	return c.RawConn.Read(attempt)
}

// TestIdleSocketsAreReadOnce would otherwise find an idle server busy.
func TestIdleSocketsAreReadOnce(t *testing.T) {
	t.Parallel()
	socket, _ := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	raw := &countingRaw{RawConn: socket.raw}
	socket.raw = raw
	_ = socket.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := socket.ReadBatch([]ipv4.Message{{Buffers: [][]byte{make([]byte, quicMaxDatagram)}}}, 0); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if raw.reads != 1 {
		t.Errorf("it was read %d times", raw.reads)
	}
}

func wantSocketErrors(t *testing.T, socket *segmentConn, to *net.UDPAddr, want error) {
	t.Helper()
	_, err := socket.ReadBatch([]ipv4.Message{{Buffers: [][]byte{make([]byte, quicMaxDatagram)}}}, 0)
	if _, _, writing := socket.WriteMsgUDP([]byte("content"), nil, to); !errors.Is(err, want) || !errors.Is(writing, want) {
		t.Errorf("%v and %v instead of %v", err, writing, want)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestRefusedDatagramsAreLost sends to where there is no route, and what a packet filter or a full queue would refuse.
func TestRefusedDatagramsAreLost(t *testing.T) {
	t.Parallel()
	socket := socketWithoutNetwork(t)
	for address, want := range map[string]error{"192.0.2.1": unix.ENETUNREACH, "2001:db8::1": unix.EADDRNOTAVAIL} {
		to := &net.UDPAddr{IP: net.ParseIP(address), Port: 53}
		if _, _, err := socket.UDPConn.WriteMsgUDP([]byte("content"), nil, to); !errors.Is(err, want) {
			t.Errorf("Go's own socket: %v instead of %v", err, want)
		}
		if n, _, err := socket.WriteMsgUDP([]byte("content"), nil, to); n != len("content") || err != nil {
			t.Errorf("to %s: %d, %v", to, n, err)
		}
	}
	for err, want := range map[error]bool{nil: false, unix.EPERM: true, unix.ENOBUFS: true, unix.EMSGSIZE: false, unix.EIO: false, net.ErrClosed: false} {
		if isLoss(&net.OpError{Op: "write", Err: err}) != want {
			t.Errorf("%v is a loss: %t", err, !want)
		}
	}
}

// socketWithoutNetwork returns one of a network without addresses and routes.
func socketWithoutNetwork(t *testing.T) *datagramSocket {
	t.Helper()
	opened, failed := make(chan net.PacketConn, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // which ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			failed <- err
			return
		}
		conn, err := net.ListenPacket("udp", "[::]:0")
		if err != nil {
			failed <- err
			return
		}
		opened <- conn
	}()
	select {
	case err := <-failed:
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("a network of its own needs root: ", err)
		return nil
	case conn := <-opened:
		t.Cleanup(func() { _ = conn.Close() })
		return newDatagramSocket(conn)
	}
}
