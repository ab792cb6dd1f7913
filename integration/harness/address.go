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
	mu   sync.Mutex
	next int
}

func init() {
	ports.next = rand.IntN(portCount) // so that two runs rarely collide
}

// FreeAddress returns a loopback address on which nothing listens, neither by TCP nor by UDP, and which it has not returned
// before.
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
		if isFree(address) {
			return address, nil
		}
	}
	return "", errors.New("all ports are taken")
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
