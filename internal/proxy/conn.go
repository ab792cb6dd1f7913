package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/readiness"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dial returns the function that connects to Immich.
func dial(idle time.Duration) dialFunc {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &upstreamConn{Conn: readiness.New(conn), idle: idle, ended: make(chan struct{})}, nil
	}
}

// withTLS connects to Immich over HTTPS. A handshake that fails is an error of dialing: nothing of the request has been sent, so another
// upstream may be tried.
func (dial dialFunc) withTLS(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	name, _, _ := net.SplitHostPort(address) // can't fail
	secure := tls.Client(conn, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12})
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: conn.RemoteAddr(), Err: fmt.Errorf("TLS handshake: %w", err)}
	}
	return secure, nil
}

// upstreamConn times out if, for the idle time, Immich has neither accepted anything that is sent nor sent anything itself.
// Both count because the connection may be a WebSocket, which stays open as long as either direction is in use. When nothing more will
// be sent, it times out if Immich sends nothing.
type upstreamConn struct {
	net.Conn

	idle      time.Duration
	expires   transfer.Deadline // for writing
	bytesRead atomic.Int64
	timedOut  atomic.Bool
	closing   atomic.Bool   // nothing more will be sent
	ended     chan struct{} // closed when the connection has ended
	end       sync.Once
}

func (c *upstreamConn) Read(p []byte) (int, error) {
	c.limitRead()
	n, err := c.Conn.Read(p)
	c.bytesRead.Add(int64(n))
	if err == nil || errors.Is(err, readiness.ErrNotYet) {
		return n, err
	}
	c.end.Do(func() { close(c.ended) })
	if c.timedOut.Load() {
		err = os.ErrDeadlineExceeded // why it was closed: net/http may report this error instead of the writer's
	}
	return n, err
}

// Close is the end, too: after TLS's close_notify, Immich's connection is closed without a further Read.
func (c *upstreamConn) Close() error {
	c.end.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

func (c *upstreamConn) Write(p []byte) (int, error) {
	if c.timedOut.Load() { // TLS's close_notify would have to wait, too
		return 0, os.ErrDeadlineExceeded
	}
	if c.closing.Load() {
		return c.Conn.Write(p)
	}
	for written := 0; ; {
		bytesRead := c.bytesRead.Load()
		if err := c.limitWrite(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		if n == 0 && c.bytesRead.Load() == bytesRead {
			c.timedOut.Store(true)
			return written, err
		}
	}
}

func (c *upstreamConn) limitWrite() error {
	at, changed := c.expires.Extend(c.idle)
	if !changed {
		return nil
	}
	return c.Conn.SetWriteDeadline(at)
}

// limitRead applies to a read that already waits, too.
func (c *upstreamConn) limitRead() {
	if c.closing.Load() {
		_ = c.SetReadDeadline(time.Now().Add(c.idle))
	}
}

// SetWriteDeadline is called by TLS before it sends close_notify.
func (c *upstreamConn) SetWriteDeadline(t time.Time) error {
	c.closing.Store(true)
	c.limitRead()
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite tells Immich that nothing more will be sent.
func (c *upstreamConn) CloseWrite() error {
	c.closing.Store(true)
	c.limitRead()
	return transfer.CloseWrite(c.Conn)
}
