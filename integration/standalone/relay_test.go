package standalone

import (
	"context"
	"net"
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
