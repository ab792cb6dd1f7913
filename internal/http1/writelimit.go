package http1

import (
	"net"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

// writeLimit is the deadline for writing of a connection. The end of a response is written under one, which stays for the next
// response, unless that writes something before it sets its own.
type writeLimit struct {
	conn net.Conn

	mu       sync.Mutex
	response *response // that is being written, or was the last
	deadline transfer.Deadline
	stale    bool // it is of an earlier response
}

func (l *writeLimit) beginResponse(w *response) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.response, l.stale = w, true
}

// set is ignored for an earlier response: a timer may be late.
func (l *writeLimit) set(w *response, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w != l.response {
		return nil
	}
	l.stale = false
	at, changed := l.deadline.Move(t)
	if !changed {
		return nil
	}
	return l.conn.SetWriteDeadline(at)
}

// beginWrite removes a deadline that is not meant for what is written.
func (l *writeLimit) beginWrite() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stale {
		l.clear()
	}
}

// beginIdle removes a deadline that may pass before another: TLS may have to write while it reads.
func (l *writeLimit) beginIdle(other *transfer.Deadline) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deadline.Outlasts(other) {
		l.clear()
	}
}

func (l *writeLimit) giveBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

// clear is called with mu held.
func (l *writeLimit) clear() {
	if l.deadline.IsSet() {
		l.deadline.Clear()
		_ = l.conn.SetWriteDeadline(time.Time{})
	}
}
