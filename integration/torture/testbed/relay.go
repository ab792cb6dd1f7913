package testbed

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// Relay forwards TCP connections to another address, until it is down.
type Relay struct {
	Address string

	to       string
	mu       sync.Mutex
	listener net.Listener // guarded by mu
	conns    *conns
}

// StartRelay runs one until the test ends.
func StartRelay(t testing.TB, to string) *Relay {
	t.Helper()
	r := &Relay{Address: harness.FreeAddress(t), to: to, conns: &conns{}}
	r.Up(t)
	t.Cleanup(r.Down)
	return r
}

// Up makes the relay accept connections, also after Down.
func (r *Relay) Up(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", r.Address)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.listener = listener
	r.mu.Unlock()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go r.forward(client)
		}
	}()
}

// Down ends all connections, and makes the relay refuse new ones.
func (r *Relay) Down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.listener.Close()
	r.conns.closeAll()
}

func (r *Relay) forward(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	r.conns.add(client)
	r.conns.add(server)
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}
