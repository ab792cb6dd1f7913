//go:build !linux

package server

import "net"

// receiveMerged returns the socket itself: only Linux has UDP_GRO.
func receiveMerged(conn net.PacketConn, _ *receiveQueue) net.PacketConn {
	return conn
}
