package standalone

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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

// startDatagramRelay does the same with the datagrams of one client.
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
	for _, socket := range []syscall.Conn{server.(*net.UDPConn), clients.(*net.UDPConn)} {
		enlargeBuffer(t, socket)
	}
	var client atomic.Value // net.Addr
	go delayDatagrams(func(p []byte) (int, error) {
		n, from, err := clients.ReadFrom(p)
		if err == nil {
			client.Store(from)
		}
		return n, err
	}, server.Write)
	go delayDatagrams(server.Read, func(p []byte) (int, error) { return clients.WriteTo(p, client.Load().(net.Addr)) })
	return clients.LocalAddr().String()
}

const (
	datagramBuffer = 8 << 20
	largestMTU     = 1500
)

// enlargeBuffer goes beyond the kernel's limit, where that is allowed, so that no datagrams are lost.
func enlargeBuffer(t testing.TB, socket syscall.Conn) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, datagramBuffer) != nil {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, datagramBuffer)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func delayDatagrams(read, write func(p []byte) (int, error)) {
	type datagram struct {
		content []byte
		due     time.Time
	}
	queue := make(chan datagram, relayQueue*relayChunk/largestMTU)
	go func() {
		defer close(queue)
		for {
			content := make([]byte, largestMTU)
			n, err := read(content)
			if err != nil {
				return
			}
			queue <- datagram{content[:n], time.Now().Add(relayDelay)}
		}
	}()
	for d := range queue {
		time.Sleep(time.Until(d.due))
		_, _ = write(d.content) // what is lost is sent again
	}
}
