package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/pires/go-proxyproto"
)

// nginx's stream module writes the IPv4 address of a client into a TCP6 header if it reaches us over IPv6. The library accepts
// that if it is configured so before its first use.
func init() {
	proxyproto.V1AcceptIPv4InTCP6 = true
}

const (
	// longestV1 is the maximum length of a header of version 1. The library limits those of version 2, to 4 KB.
	longestV1 = 107
	// proxyBuffer holds a header of usual size, and what comes with it.
	proxyBuffer = 512
)

// proxyProtocol reads the PROXY protocol header (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt), in which relays
// report the client's address. From other peers, a header is invalid TLS or HTTP, and ends the connection.
type proxyProtocol struct {
	networks config.Networks
	timeout  time.Duration
	log      *rareLog
}

func newProxyProtocol(settings *config.Settings, log *rareLog) *proxyProtocol {
	networks, _ := config.ParseNetworks(settings.Listen.ProxyProtocol) // errors were reported at startup
	return &proxyProtocol{networks: networks, timeout: time.Duration(settings.Timeouts.Header), log: log}
}

// trust reports whether connections from the address begin with a header.
func (p *proxyProtocol) trust(peer net.Addr) bool {
	if p == nil || len(p.networks) == 0 {
		return false
	}
	address, err := netip.ParseAddrPort(peer.String())
	return err == nil && p.networks.Contain(address.Addr())
}

func (p *proxyProtocol) conn(conn net.Conn, tracked *trackedConn) net.Conn {
	return &proxiedConn{Conn: conn, protocol: p, tracked: tracked}
}

// proxiedConn is a connection from a relay. The header is read at the first use of the client's address or of the content,
// which is in net/http's goroutine of the connection, so that a slow relay delays only itself.
type proxiedConn struct {
	net.Conn

	protocol *proxyProtocol
	tracked  *trackedConn

	once   sync.Once
	client net.Addr
	rest   *bufio.Reader // what was read after the header; nil once it is used up
	err    error
}

func (c *proxiedConn) RemoteAddr() net.Addr {
	c.once.Do(c.readHeader)
	return c.client
}

func (c *proxiedConn) Read(p []byte) (int, error) {
	c.once.Do(c.readHeader)
	if c.err != nil {
		return 0, c.err
	}
	if c.rest == nil {
		return c.Conn.Read(p)
	}
	n := min(len(p), c.rest.Buffered())
	_, _ = c.rest.Read(p[:n]) // can't fail
	if c.rest.Buffered() == 0 {
		c.rest = nil
	}
	return n, nil
}

// NetConn returns the connection below, from which everything comes after the first bytes.
func (c *proxiedConn) NetConn() net.Conn {
	return c.Conn
}

// CloseWrite lets net/http end a connection of plain HTTP without a reset.
func (c *proxiedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var errNoRoom = errors.New("the client has too many connections")

// readHeader determines the client: the peer, if there is no header or it names no client.
func (c *proxiedConn) readHeader() {
	c.client = c.Conn.RemoteAddr()
	_ = c.SetReadDeadline(time.Now().Add(c.protocol.timeout))
	reader := bufio.NewReaderSize(c.Conn, proxyBuffer)
	header, err := readProxyHeader(reader)
	_ = c.SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
	case err != nil:
		c.err = fmt.Errorf("PROXY protocol: %w", err)
		c.protocol.log.warn("a connection from listen.proxyProtocol is closed: its header can't be read", "peer", c.Conn.RemoteAddr(), "error", err)
		return
	default:
		c.setClient(header)
	}
	if reader.Buffered() > 0 {
		c.rest = reader
	}
}

// readProxyHeader supports headers that arrive in pieces: the library does not, in version 1.
func readProxyHeader(reader *bufio.Reader) (*proxyproto.Header, error) {
	for n := 1; n <= longestV1; n++ {
		line, err := reader.Peek(n)
		signature := min(n, len(proxyproto.SIGV1))
		if err != nil || !bytes.Equal(line[:signature], proxyproto.SIGV1[:signature]) || line[n-1] == '\n' {
			break
		}
	}
	return proxyproto.Read(reader)
}

func (c *proxiedConn) setClient(header *proxyproto.Header) {
	source, _, named := header.TCPAddrs()
	if !named || header.Command.IsLocal() {
		return
	}
	c.client = source
	if !c.tracked.belongsTo(source) {
		c.err = errNoRoom
	}
}
