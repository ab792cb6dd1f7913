package flowcontrol

import (
	"context"
	"sync"

	"github.com/quic-go/quic-go"
)

// QUICWindow is the window that a connection of HTTP/3 begins with. It grows, up to UploadWindow, as long as Immich keeps up.
const QUICWindow = 128 << 10

// quicGrowth is by how much the windows of all HTTP/3 connections together may grow beyond that.
const quicGrowth = 2 * UploadWindow

// QUIC bounds what clients of HTTP/3 have in flight. Unlike TCP, datagrams can't be left unread, so the windows themselves are
// bounded. A connection keeps its share until it ends.
type QUIC struct {
	mu    sync.Mutex
	left  uint64
	grown map[*quic.Conn]uint64
}

// NewQUIC returns the bound for all connections of a server.
func NewQUIC() *QUIC {
	return newQUIC(quicGrowth)
}

func newQUIC(growth uint64) *QUIC {
	return &QUIC{left: growth, grown: map[*quic.Conn]uint64{}}
}

// MayGrow is for quic.Config.AllowConnectionWindowIncrease.
func (w *QUIC) MayGrow(conn *quic.Conn, by uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if by > w.left {
		return false
	}
	w.left -= by
	w.grown[conn] += by
	return true
}

// Follow releases the connection's share when it ends.
func (w *QUIC) Follow(conn *quic.Conn) {
	context.AfterFunc(conn.Context(), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.left += w.grown[conn]
		delete(w.grown, conn)
	})
}
