// Package flowcontrol bounds how much clients may have in flight: what they have sent and Immich has not yet read. The windows
// of HTTP/2 and HTTP/3 have to be large, or one upload with a long round trip would be slow; but hundreds of them, full, would
// take gigabytes.
package flowcontrol

import "sync"

// UploadWindow is how much a client of HTTP/2 or HTTP/3 may send before the server has to extend the window: 120 MB/s with a
// round trip of 100 ms. Go's default allows 10 MB/s.
const UploadWindow = 12 << 20

const (
	// http2Limit is how much of their uploads all HTTP/2 connections together may hold in memory when Immich is slower than the
	// clients, in addition to http2Free for each. A single connection never reaches it.
	http2Limit = UploadWindow
	http2Free  = 32 << 10
)

// HTTP2 bounds what clients of HTTP/2 have in flight. At the limit, a connection that holds more than its free share is not
// read from until Immich has read some of it, so TCP makes the client wait. Other requests of that client wait as well, so this
// is done only at the limit.
type HTTP2 struct {
	limit int64
	free  int64

	mu      sync.Mutex
	shrinks sync.Cond
	held    int64 // by all connections, beyond what is free
}

// NewHTTP2 returns the bound for all connections of a server.
func NewHTTP2() *HTTP2 {
	return newHTTP2(http2Limit, http2Free)
}

func newHTTP2(limit, free int64) *HTTP2 {
	b := &HTTP2{limit: limit, free: free}
	b.shrinks.L = &b.mu
	return b
}

// Share returns the share of a connection.
func (b *HTTP2) Share() *Share {
	return &Share{all: b}
}

// Share is what one connection holds of the bodies that have arrived. Its fields are guarded by the mutex of all.
type Share struct {
	all      *HTTP2
	held     int64
	released bool
}

// Take records that the connection will hold n more bytes, when it may hold more than it does.
func (s *Share) Take(n int64) {
	b := s.all
	b.mu.Lock()
	defer b.mu.Unlock()
	for !s.released && b.held > b.limit && s.held > b.free {
		b.shrinks.Wait()
	}
	if !s.released {
		s.add(n)
	}
}

// Give records that n bytes were read, or never will be.
func (s *Share) Give(n int64) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if !s.released {
		s.add(-n)
	}
}

// Release is called when the connection has ended. It wakes whoever waits.
func (s *Share) Release() {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.add(-s.held)
	s.released = true
	s.all.shrinks.Broadcast()
}

func (s *Share) add(n int64) {
	b := s.all
	before := max(s.held-b.free, 0)
	s.held += n
	b.held += max(s.held-b.free, 0) - before
	if n < 0 && before > 0 {
		b.shrinks.Broadcast()
	}
}
