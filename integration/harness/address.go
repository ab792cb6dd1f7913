package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

const (
	firstPort = 20_000 // the ports from here to Linux's ephemeral ones
	portCount = 12_000
)

var ports struct {
	mu    sync.Mutex
	next  int
	taken []net.PacketConn // until the process ends
}

func init() {
	ports.next = rand.IntN(portCount) // so that two runs rarely collide
}

// FreeAddress returns a loopback address on which nothing listens, neither by TCP nor by UDP, and which no test has been given before, in
// this process or in others that are still running.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := FindFreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// FindFreeAddress is FreeAddress outside of tests.
func FindFreeAddress() (string, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for range portCount {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+ports.next)
		ports.next = (ports.next + 1) % portCount
		if isFree(address) && take(address) {
			return address, nil
		}
	}
	return "", errors.New("all ports are taken")
}

// take is false if another process has taken the address, where the program that is to listen there may not run yet. A socket in Linux's
// abstract namespace tells of that, which ends with the process.
func take(address string) bool {
	conn, err := net.ListenPacket("unixgram", "@immichaccess-test-"+address)
	if err != nil {
		return false
	}
	ports.taken = append(ports.taken, conn)
	return true
}

func isFree(address string) bool {
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = tcp.Close() }()
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return udp.Close() == nil
}

// Port is the port of an address.
func Port(t testing.TB, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
