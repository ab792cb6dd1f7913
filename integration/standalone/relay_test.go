package standalone

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// relayDelay is what a relay adds in each direction: a round trip takes 100 ms.
const relayDelay = 50 * time.Millisecond

const (
	relayChunk = 64 << 10
	relayQueue = 1 << 12 // chunks on their way: more than any window lets through, so that the delay is all that a relay adds
)

// startRelay returns an address from which TCP connections are forwarded to another one, with a delay but without a limit of
// bandwidth.
func startRelay(t testing.TB, to string) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go relay(client, to)
		}
	}()
	return l.Addr().String()
}

func relay(client net.Conn, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		client.Close()
		return
	}
	go delay(server, client)
	go delay(client, server)
}

// delay forwards what it reads after the delay, and closes both connections at the end.
func delay(to, from net.Conn) {
	type chunk struct {
		content []byte
		due     time.Time
	}
	queue := make(chan chunk, relayQueue)
	go func() {
		defer close(queue)
		for {
			content := make([]byte, relayChunk)
			n, err := from.Read(content)
			if n > 0 {
				queue <- chunk{content[:n], time.Now().Add(relayDelay)}
			}
			if err != nil {
				return
			}
		}
	}()
	defer to.Close()
	defer from.Close()
	for c := range queue {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.content); err != nil {
			break
		}
	}
	to.Close()
	for range queue { // so that the reader ends
		continue
	}
}

// startDatagramRelay does the same with the datagrams of one client. Those that were sent in a row stay together, as they do in
// network cards, so that the relay takes little of the processor.
func startDatagramRelay(t testing.TB, to string) string {
	t.Helper()
	server, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	clients, err := config.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		clients.Close()
	})
	toServer, toClient := server.(*net.UDPConn), clients.(*net.UDPConn)
	for _, socket := range []*net.UDPConn{toServer, toClient} {
		prepareSocket(t, socket)
	}
	var client atomic.Pointer[net.UDPAddr]
	go delayDatagrams(toClient, func(b *datagrams) error {
		client.Store(b.from)
		_, _, err := toServer.WriteMsgUDP(b.content, b.segmentation(), nil)
		return err
	})
	go delayDatagrams(toServer, func(b *datagrams) error {
		_, _, err := toClient.WriteMsgUDP(b.content, b.segmentation(), client.Load())
		return err
	})
	return clients.LocalAddr().String()
}

const (
	datagramBuffer = 8 << 20
	maxDatagrams   = 64 << 10 // bytes that the kernel passes on together
	smallestMTU    = 1200
)

// prepareSocket makes the kernel merge datagrams, and enlarges the buffer beyond the kernel's limit, where that is allowed, so that none
// are lost.
func prepareSocket(t testing.TB, socket *net.UDPConn) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var merge error
	err = raw.Control(func(fd uintptr) {
		merge = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, datagramBuffer) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, datagramBuffer)
		}
	})
	if err := errors.Join(err, merge); err != nil {
		t.Fatal(err)
	}
}

// datagrams are some that arrived together. All are of the same size, but the last may be shorter.
type datagrams struct {
	content []byte
	size    int
	from    *net.UDPAddr
	due     time.Time
}

func (d *datagrams) segmentation() []byte {
	if d.size >= len(d.content) {
		return nil
	}
	control := make([]byte, unix.CmsgSpace(2))
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	header.Level, header.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	header.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], uint16(d.size))
	return control
}

func receiveDatagrams(from *net.UDPConn, buffer []byte) (*datagrams, error) {
	control := make([]byte, 64)
	n, controls, _, client, err := from.ReadMsgUDP(buffer, control)
	if err != nil {
		return nil, err
	}
	d := &datagrams{content: bytes.Clone(buffer[:n]), size: n, from: client, due: time.Now().Add(relayDelay)}
	messages, err := unix.ParseSocketControlMessage(control[:controls])
	for _, m := range messages {
		if m.Header.Level == unix.IPPROTO_UDP && m.Header.Type == unix.UDP_GRO {
			d.size = int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return d, err
}

func delayDatagrams(from *net.UDPConn, send func(d *datagrams) error) {
	queue := make(chan *datagrams, relayQueue*relayChunk/smallestMTU)
	go func() {
		defer close(queue)
		buffer := make([]byte, maxDatagrams)
		for {
			d, err := receiveDatagrams(from, buffer)
			if err != nil {
				return
			}
			queue <- d
		}
	}()
	for d := range queue {
		time.Sleep(time.Until(d.due))
		_ = send(d) // what is lost is sent again
	}
}
