package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

// dial returns how connections to Immich are made.
func dial(idle time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &upstreamConn{Conn: conn, idle: idle, ended: make(chan struct{})}, nil
	}
}

// upstreamConn gives Immich up when it neither takes anything of what is sent nor says anything. Its words count because it
// may be a WebSocket, on which either direction keeps both alive.
type upstreamConn struct {
	net.Conn

	idle    time.Duration
	heard   atomic.Int64 // bytes
	silent  atomic.Bool
	leaving atomic.Bool
	ended   chan struct{} // closed when Immich has closed it
	end     sync.Once
}

func (c *upstreamConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard.Add(int64(n))
	if err == nil {
		return n, nil
	}
	c.end.Do(func() { close(c.ended) })
	if c.silent.Load() {
		err = os.ErrDeadlineExceeded // why it was closed: net/http may tell of this error instead of the writer's
	}
	return n, err
}

func (c *upstreamConn) Write(p []byte) (int, error) {
	if c.leaving.Load() {
		return c.Conn.Write(p)
	}
	for written := 0; ; {
		heard := c.heard.Load()
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		if n == 0 && c.heard.Load() == heard {
			c.silent.Store(true)
			return written, err
		}
	}
}

// SetWriteDeadline is for TLS, which has one of its own when it says goodbye.
func (c *upstreamConn) SetWriteDeadline(t time.Time) error {
	c.leaving.Store(true)
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite is what ReverseProxy calls.
func (c *upstreamConn) CloseWrite() error {
	return transfer.CloseWrite(c.Conn)
}
