package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/certs"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// What quic-go reads with.
const (
	quicBatch       = 8
	quicMaxDatagram = 1452
	quicControl     = 128
)

// congested is what a router marks datagrams with (ECN).
const congested = 3

// ipVersions are the sockets that a server may have, and the clients of each.
var ipVersions = []struct{ name, network, listen, dial string }{
	{"IPv4", "udp4", "127.0.0.1:0", "127.0.0.1"},
	{"IPv6", "udp6", "[::1]:0", "::1"},
	{"IPv4 on a socket for both", "udp", "[::]:0", "127.0.0.1"},
	{"IPv6 on a socket for both", "udp", "[::]:0", "::1"},
}

// segmentPair returns a socket that receives merged datagrams, with the options that quic-go sets, and one that sends to it.
func segmentPair(t *testing.T, network, listen, dial string) (*segmentConn, *net.UDPConn) {
	t.Helper()
	socket, err := net.ListenPacket(network, listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	_ = socket.SetReadDeadline(time.Now().Add(patience))
	receiver, ok := receiveMerged(socket, newReceiveQueue()).(*segmentConn)
	if !ok {
		t.Fatal("this kernel has no UDP_GRO")
	}
	setOptions(t, receiver.UDPConn,
		[3]int{unix.IPPROTO_IP, unix.IP_RECVTOS, 1}, [3]int{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1},
		[3]int{unix.IPPROTO_IP, unix.IP_PKTINFO, 1}, [3]int{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1})
	sender, err := net.Dial("udp", net.JoinHostPort(dial, strconv.Itoa(socket.LocalAddr().(*net.UDPAddr).Port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sender.Close() })
	setOptions(t, sender.(*net.UDPConn), [3]int{unix.IPPROTO_IP, unix.IP_TOS, congested}, [3]int{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, congested})
	return receiver, sender.(*net.UDPConn)
}

// setOptions sets those that the socket's IP version has.
func setOptions(t *testing.T, conn *net.UDPConn, options ...[3]int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for _, o := range options {
			_ = unix.SetsockoptInt(int(fd), o[0], o[1], o[2])
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sendMerged sends datagrams of that size with one system call; the last may be shorter.
func sendMerged(t *testing.T, conn *net.UDPConn, content []byte, size int) {
	t.Helper()
	setOptions(t, conn, [3]int{unix.IPPROTO_UDP, unix.UDP_SEGMENT, size})
	if _, err := conn.Write(content); err != nil {
		t.Fatal(err)
	}
}

// segment is a received datagram.
type segment struct {
	content string
	from    string
	to      string
	mark    byte
}

func readSegments(t *testing.T, conn *segmentConn) []segment {
	t.Helper()
	messages := make([]ipv4.Message, quicBatch)
	for i := range messages {
		messages[i].Buffers, messages[i].OOB = [][]byte{make([]byte, quicMaxDatagram)}, make([]byte, quicControl)
	}
	n, err := conn.ReadBatch(messages, 0)
	if n == 0 || err != nil {
		t.Fatal(n, err)
	}
	var segments []segment
	for _, m := range messages[:n] {
		s := segment{content: string(m.Buffers[0][:m.N]), from: m.Addr.String()}
		s.readControl(t, m.OOB[:m.NN])
		segments = append(segments, s)
	}
	return segments
}

func (s *segment) readControl(t *testing.T, oob []byte) {
	t.Helper()
	for len(oob) > 0 {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_TOS, header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_TCLASS:
			s.mark = data[0]
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO:
			s.to = net.IP(data[8:12]).String()
		case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO:
			s.to = net.IP(data[:16]).String()
		default:
			t.Errorf("quic-go gets a control message %d of level %d", header.Type, header.Level)
		}
		oob = rest
	}
}

// TestMergedDatagramsAreCutApart compares what arrives with what was sent, for datagrams of all sizes, over all IP versions.
func TestMergedDatagramsAreCutApart(t *testing.T) {
	t.Parallel()
	for _, over := range ipVersions {
		t.Run(over.name, func(t *testing.T) {
			t.Parallel()
			receiver, sender := segmentPair(t, over.network, over.listen, over.dial)
			for _, size := range []int{1, 2, 100, 1200, 1251, quicMaxDatagram} {
				for _, count := range []int{1, 2, quicBatch, quicBatch + 1, 30} {
					for _, last := range []int{size, (size + 1) / 2} {
						wantSegments(t, receiver, sender, size, count, last, over.dial)
					}
				}
			}
		})
	}
}

// wantSegments sends so many datagrams of a size, of which the last may be shorter.
func wantSegments(t *testing.T, receiver *segmentConn, sender *net.UDPConn, size, count, last int, to string) {
	t.Helper()
	content := numbered((count-1)*size + last)
	sendMerged(t, sender, content, size)
	got := readSegments(t, receiver)
	for len(got) < count {
		if len(receiver.merged.content) == 0 {
			t.Fatalf("of %d datagrams of %d bytes, %d were received at once", count, size, len(got))
		}
		got = append(got, readSegments(t, receiver)...)
	}
	for i, s := range got {
		want := segment{string(content[i*size : min((i+1)*size, len(content))]), sender.LocalAddr().String(), to, congested}
		if s != want {
			t.Fatalf("datagram %d of %d, of %d bytes: %.20q… (%d) from %s to %s, marked %d", i, count, size, s.content, len(s.content), s.from, s.to, s.mark)
		}
	}
	if len(got) != count || len(receiver.merged.content) != 0 {
		t.Fatalf("%d datagrams instead of %d", len(got), count)
	}
}

// TestEmptyDatagramsAreSkipped sends one between two others: quic-go would read old datagrams again, and the queue
// would divide by zero.
func TestEmptyDatagramsAreSkipped(t *testing.T) {
	t.Parallel()
	receiver, sender := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	receiver.queue.add(sender.LocalAddr().(*net.UDPAddr).AddrPort(), &countingConn{})
	var got []string
	for _, content := range []string{"first", "", "last"} {
		_, _ = sender.Write([]byte(content))
	}
	for len(got) < 2 {
		for _, s := range readSegments(t, receiver) {
			got = append(got, s.content)
		}
	}
	if !slices.Equal(got, []string{"first", "last"}) {
		t.Errorf("%q", got)
	}
}

func TestDatagramsOfSeveralClientsAreKeptApart(t *testing.T) {
	t.Parallel()
	receiver, first := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	second, err := net.Dial("udp", receiver.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	var want, got []string
	for i, sender := range []net.Conn{first, second, first} {
		content := fmt.Sprint("datagram ", i)
		_, _ = sender.Write([]byte(content))
		want = append(want, content+" from "+sender.LocalAddr().String())
	}
	for len(got) < len(want) {
		for _, s := range readSegments(t, receiver) {
			got = append(got, s.content+" from "+s.from)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestSocketsWithoutMergingAreUsedAsTheyAre has a socket that refuses the option, as a kernel before Linux 5.0 does, and one that is
// not of the kernel.
func TestSocketsWithoutMergingAreUsedAsTheyAre(t *testing.T) {
	t.Parallel()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.Close()
	for _, conn := range []net.PacketConn{socket, struct{ net.PacketConn }{socket}} {
		if got := receiveMerged(conn, newReceiveQueue()); got != conn {
			t.Errorf("%T is replaced by %T", conn, got)
		}
	}
}

// TestUnprocessedDatagramsWait reads as quic-go does, which processes nothing of one client, and everything of another.
func TestUnprocessedDatagramsWait(t *testing.T) {
	t.Parallel()
	receiver, busy := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	_ = receiver.SetReadDeadline(time.Time{})
	other, err := net.Dial("udp", receiver.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	conn := &countingConn{}
	receiver.queue.add(busy.LocalAddr().(*net.UDPAddr).AddrPort(), conn)

	const size, rounds = 1200, 12
	content := numbered(rounds * 40 * size)
	var got strings.Builder
	for i := range rounds {
		sendMerged(t, busy, content[i*40*size:(i+1)*40*size], size)
		want := fmt.Sprint("other ", i)
		_, _ = other.Write([]byte(want))
		for last := ""; last != want; {
			for _, s := range readSegments(t, receiver) {
				if last = s.content; s.from == busy.LocalAddr().String() {
					got.WriteString(s.content)
				}
			}
		}
	}
	if got.Len() != maxUnprocessed*size {
		t.Errorf("quic-go got %d datagrams and has processed none", got.Len()/size)
	}
	for got.Len() < len(content) {
		processed := uint64(got.Len())
		time.AfterFunc(time.Millisecond, func() { conn.received.Store(processed) })
		for _, s := range readSegments(t, receiver) {
			got.WriteString(s.content)
			if s.mark != congested {
				t.Fatalf("a datagram from the queue is marked %d", s.mark)
			}
		}
	}
	if got.String() != string(content) {
		t.Error("the datagrams are not those that were sent, in order")
	}
	_, _ = other.Write([]byte("last"))
	if s := readSegments(t, receiver); s[0].content != "last" {
		t.Errorf("after the queue: %.20q", s[0].content)
	}
}

// TestQueueAndSocketHaveTurns has quic-go process all that it got, with more in the queue.
func TestQueueAndSocketHaveTurns(t *testing.T) {
	t.Parallel()
	receiver, sender := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	conn, before := &countingConn{}, time.Now().Add(-time.Minute)
	receiver.queue.add(clientAddr(1), conn)
	for _, content := range []string{strings.Repeat(".", maxUnprocessed), "queued 1", "queued 2"} {
		receiver.queue.arrived(&datagrams{content: []byte(content), size: 1, from: net.UDPAddrFromAddrPort(clientAddr(1))}, before)
	}
	conn.received.Store(maxUnprocessed)
	_, _ = sender.Write([]byte("received"))
	for _, want := range []string{"queued 1", "received", "queued 2"} {
		var got strings.Builder
		for _, s := range readSegments(t, receiver) {
			got.WriteString(s.content)
		}
		if got.String() != want {
			t.Errorf("quic-go got %q instead of %q", got.String(), want)
		}
	}
}

// TestWaitingDatagramsDoNotDelayClose ends a read as quic-go does.
func TestWaitingDatagramsDoNotDelayClose(t *testing.T) {
	t.Parallel()
	receiver, busy := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	_ = receiver.SetReadDeadline(time.Time{})
	receiver.queue.add(busy.LocalAddr().(*net.UDPAddr).AddrPort(), &countingConn{creeps: true})
	ended := make(chan error)
	go func() {
		for {
			messages := []ipv4.Message{{Buffers: [][]byte{make([]byte, quicMaxDatagram)}}}
			if _, err := receiver.ReadBatch(messages, 0); err != nil {
				ended <- err
				return
			}
		}
	}()
	waitFor(t, "datagrams in the queue", func() bool {
		sendMerged(t, busy, numbered(40*1200), 1200)
		return !receiver.queue.isEmpty()
	})
	_ = receiver.SetReadDeadline(time.Now())
	if err := awaitError(t, ended); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ended with %v", err)
	}
}

// TestHTTP3ReceivesMergedDatagrams looks at the socket of a server.
func TestHTTP3ReceivesMergedDatagrams(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	s.dialQUIC(t)
	quic := s.entryPoints[0].quic
	quic.mu.Lock()
	defer quic.mu.Unlock()
	if _, ok := quic.transport.Conn.(*segmentConn); !ok {
		t.Errorf("it is a %T", quic.transport.Conn)
	}
}

// TestQueueKnowsConnections opens and closes one.
func TestQueueKnowsConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	conn := s.dialQUIC(t)
	queue := s.entryPoints[0].quic.received
	known := func() (clients int, bytes uint64) {
		queue.mu.Lock()
		defer queue.mu.Unlock()
		for _, c := range queue.clients {
			bytes += c.sum()
		}
		return len(queue.clients), bytes
	}
	waitFor(t, "the connection in the queue", func() bool {
		clients, bytes := known()
		return clients == 1 && bytes > 0
	})
	_ = conn.CloseWithError(0, "")
	waitFor(t, "the end of the connection", func() bool {
		clients, _ := known()
		return clients == 0
	})
}

// sendingConn counts what is sent in segments (GSO).
type sendingConn struct {
	*segmentConn

	segmented atomic.Int64
}

func (c *sendingConn) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (int, int, error) {
	messages, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range messages {
		if m.Header.Level == unix.IPPROTO_UDP && m.Header.Type == unix.UDP_SEGMENT {
			c.segmented.Add(1)
		}
	}
	return c.segmentConn.WriteMsgUDP(b, oob, to)
}

// TestQUICUsesBothOffloads echoes on a stream, with sockets like the server's.
func TestQUICUsesBothOffloads(t *testing.T) {
	t.Parallel()
	source, err := certs.Open(t.Context(), config.Defaults(), certs.Ports{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	receiver, _ := segmentPair(t, "udp4", "127.0.0.1:0", "127.0.0.1")
	_ = receiver.SetReadDeadline(time.Time{})
	server := &sendingConn{segmentConn: receiver}
	transport := &quic.Transport{Conn: server}
	defer func() { _ = transport.Close() }()
	listener, err := transport.Listen(withProtocols(source.TLS, "echo"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		if conn, err := listener.Accept(ctx); err == nil {
			if stream, err := conn.AcceptStream(ctx); err == nil {
				_, _ = io.Copy(stream, stream)
				_ = stream.Close()
			}
		}
	}()
	conn, err := quic.DialAddr(ctx, server.LocalAddr().String(), trusting("echo"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	content := numbered(4 << 20)
	go func() {
		_, _ = stream.Write(content)
		_ = stream.Close()
	}()
	if got, err := io.ReadAll(stream); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if server.segmented.Load() == 0 {
		t.Error("nothing was sent with GSO")
	}
}
