package transfer

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Tracker counts the transfers that run.
type Tracker struct {
	running  atomic.Int64
	received atomic.Int64
	sent     atomic.Int64
	closed   atomic.Bool

	sockets  atomic.Int64
	mu       sync.Mutex
	hijacked map[*socket]struct{} // guarded by mu
}

// Running is how many requests are being served, without WebSockets, which have no end to wait for.
func (t *Tracker) Running() int64 { return t.running.Load() }

// Sockets is how many WebSockets are open.
func (t *Tracker) Sockets() int64 { return t.sockets.Load() }

// Received is how many bytes clients have sent, in bodies, so far.
func (t *Tracker) Received() int64 { return t.received.Load() }

// Sent is how many bytes clients were sent, in bodies, so far.
func (t *Tracker) Sent() int64 { return t.sent.Load() }

// Entry describes a request that has ended.
type Entry struct {
	Request  *http.Request // of a WebSocket, only the method, the URL and the version of HTTP
	Identity Identity
	Status   int   // 0: the client closed the connection before the response
	Aborted  Cause // empty if the transfer is complete
	Received int64
	Sent     int64
	Duration time.Duration
}

// Close makes the transfers that still run be reported as ended by a shutdown. It closes WebSockets, which the server no longer
// knows; the server closes the others itself.
func (t *Tracker) Close() {
	t.closed.Store(true)
	var closing sync.WaitGroup
	for _, s := range t.open() {
		closing.Go(func() { // TLS waits for a client that does not read
			s.abort(Shutdown)
			_ = s.Conn.Close()
		})
	}
	closing.Wait()
}

// open returns the WebSockets that are open.
func (t *Tracker) open() []*socket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.hijacked))
}

// Wait returns when no transfer runs any more, or after the timeout.
func (t *Tracker) Wait(timeout time.Duration) {
	for end := time.Now().Add(timeout); t.Running()+t.Sockets() > 0 && time.Now().Before(end); {
		time.Sleep(waitInterval)
	}
}

const waitInterval = 5 * time.Millisecond

// keep registers a hijacked connection until it is closed.
func (t *Tracker) keep(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hijacked == nil {
		t.hijacked = map[*socket]struct{}{}
	}
	t.hijacked[s] = struct{}{}
	if t.closed.Load() {
		_ = s.Conn.Close()
	}
}

func (t *Tracker) forget(s *socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.hijacked, s)
}
