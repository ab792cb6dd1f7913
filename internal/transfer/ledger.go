package transfer

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Ledger counts the transfers that run.
type Ledger struct {
	running  atomic.Int64
	received atomic.Int64
	sent     atomic.Int64
	closed   atomic.Bool

	sockets  atomic.Int64
	mu       sync.Mutex
	hijacked map[*idleConn]struct{} // guarded by mu
}

// Running is how many requests are being served, WebSockets apart: they have no end to wait for.
func (l *Ledger) Running() int64 { return l.running.Load() }

// Sockets is how many WebSockets are open.
func (l *Ledger) Sockets() int64 { return l.sockets.Load() }

// Received is how many bytes clients have sent, in bodies, so far.
func (l *Ledger) Received() int64 { return l.received.Load() }

// Sent is how many bytes clients were sent, in bodies, so far.
func (l *Ledger) Sent() int64 { return l.sent.Load() }

// Entry is what the ledger knows of a request that has ended.
type Entry struct {
	Request  *http.Request
	Visitor  Visitor
	Status   int   // 0: the client was gone before there was an answer
	Aborted  Cause // empty if the transfer came to its end
	Received int64
	Sent     int64
	Duration time.Duration
}

// Close has the transfers that still run reported as ended by a shutdown. It closes WebSockets, which the server does not
// know any more; the others are the server's to close.
func (l *Ledger) Close() {
	l.closed.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.hijacked {
		conn.exchange.abort(Shutdown)
		_ = conn.Conn.Close()
	}
}

// Wait returns when nothing runs any more, or when patience is over.
func (l *Ledger) Wait(patience time.Duration) {
	for end := time.Now().Add(patience); l.Running()+l.Sockets() > 0 && time.Now().Before(end); {
		time.Sleep(waitInterval)
	}
}

const waitInterval = 5 * time.Millisecond

// keep remembers a hijacked connection until it is closed.
func (l *Ledger) keep(conn *idleConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hijacked == nil {
		l.hijacked = map[*idleConn]struct{}{}
	}
	l.hijacked[conn] = struct{}{}
	if l.closed.Load() {
		_ = conn.Conn.Close()
	}
}

func (l *Ledger) forget(conn *idleConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.hijacked, conn)
}
