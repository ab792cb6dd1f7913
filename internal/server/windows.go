package server

import (
	"context"
	"sync"

	"github.com/quic-go/quic-go"
)

const (
	// quicWindow is what a connection of HTTP/3 begins with. It grows, up to uploadWindow, as long as Immich keeps up.
	quicWindow = 128 << 10
	// quicGrowth is what all connections of HTTP/3 together may have beyond that.
	quicGrowth = 2 * uploadWindow
)

// windows bound what clients of HTTP/3 may send before Immich has taken it. Datagrams can't be made to wait, as backlog has
// HTTP/2 wait, so it is the windows themselves that are bounded. A connection keeps its own until it ends.
type windows struct {
	mu    sync.Mutex
	left  uint64
	grown map[*quic.Conn]uint64
}

func newWindows(growth uint64) *windows {
	return &windows{left: growth, grown: map[*quic.Conn]uint64{}}
}

func (w *windows) mayGrow(conn *quic.Conn, by uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if by > w.left {
		return false
	}
	w.left -= by
	w.grown[conn] += by
	return true
}

// follow takes back what the connection has when it ends.
func (w *windows) follow(conn *quic.Conn) {
	context.AfterFunc(conn.Context(), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.left += w.grown[conn]
		delete(w.grown, conn)
	})
}
