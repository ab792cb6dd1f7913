package integration

import (
	"context"
	"net"
	"testing"
	"time"
)

// relayDelay is what a relay adds in each direction: the way there and back takes 100 ms.
const relayDelay = 50 * time.Millisecond

const (
	relayPiece = 64 << 10
	relayRoom  = 1 << 12 // pieces under way: more than any window lets through, so that the delay is all that a relay adds
)

// startRelay returns an address that leads to the other one, by a long way without limits.
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
			near, err := l.Accept()
			if err != nil {
				return
			}
			go relay(near, to)
		}
	}()
	return l.Addr().String()
}

func relay(near net.Conn, to string) {
	far, err := net.Dial("tcp", to)
	if err != nil {
		near.Close()
		return
	}
	go delay(far, near)
	go delay(near, far)
}

// delay hands on what it reads, later, and closes both ends when there is no more.
func delay(to, from net.Conn) {
	type piece struct {
		content []byte
		due     time.Time
	}
	way := make(chan piece, relayRoom)
	go func() {
		defer close(way)
		for {
			content := make([]byte, relayPiece)
			n, err := from.Read(content)
			if n > 0 {
				way <- piece{content[:n], time.Now().Add(relayDelay)}
			}
			if err != nil {
				return
			}
		}
	}()
	defer to.Close()
	defer from.Close()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.content); err != nil {
			break
		}
	}
	to.Close()
	for range way { // so that the reader comes to its end
		continue
	}
}
