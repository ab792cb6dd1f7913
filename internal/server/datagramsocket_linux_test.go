package server

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// TestDatagramSocketsKnowAddresses has datagrams go back to where they came from, and compares with what Go says of the sockets.
func TestDatagramSocketsKnowAddresses(t *testing.T) {
	t.Parallel()
	for _, over := range []struct{ name, network, listen, dial string }{
		{"IPv4", "udp4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "udp6", "[::1]:0", "::1"},
		{"IPv4 on a socket for both", "udp", "[::]:0", "127.0.0.1"},
		{"IPv6 on a socket for both", "udp", "[::]:0", "::1"},
	} {
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
	socket, client := segmentPair(t, "udp6", "[::1]:0", "::1")
	zoned := net.UDPAddrFromAddrPort(client.LocalAddr().(*net.UDPAddr).AddrPort())
	zoned.Zone = "nowhere"
	_, _, want := socket.UDPConn.WriteMsgUDP([]byte("content"), nil, zoned)
	if _, _, err := socket.WriteMsgUDP([]byte("content"), nil, zoned); errorText(err) != errorText(want) {
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
