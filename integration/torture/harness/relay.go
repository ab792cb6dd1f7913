package harness

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Relay leads TCP connections to another address, until it is down.
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
	r := &Relay{Address: FreeAddress(t), to: to, conns: &conns{}}
	r.Up(t)
	t.Cleanup(r.Down)
	return r
}

// Up has the relay accept connections, again after Down.
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
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go r.lead(near)
		}
	}()
}

// Down ends all connections, and has new ones refused.
func (r *Relay) Down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.listener.Close()
	r.conns.sever()
}

func (r *Relay) lead(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	r.conns.add(near)
	r.conns.add(far)
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
}
