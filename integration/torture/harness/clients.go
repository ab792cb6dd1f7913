package harness

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// The protocols a client may speak.
const (
	HTTP1 = "HTTP/1.1"
	HTTP2 = "HTTP/2.0"
	HTTP3 = "HTTP/3.0"
)

// Protocols are all of them.
var Protocols = []string{HTTP1, HTTP2, HTTP3}

// receiveWindow is how much a client lets the proxy send before it has read it: little, so that a download that is read
// slowly is under way and not in some buffer.
const receiveWindow = 256 << 10

// Client speaks one protocol, with a key.
type Client struct {
	Protocol string
	Key      string
	base     string // URL of the proxy
	host     string // it is asked for; empty for its address
	http     *http.Client
	close    func()
	conns    *conns
}

// ClientOptions are where a Client asks, and as whom.
type ClientOptions struct {
	Address   string
	Host      string         // empty for the address
	Roots     *x509.CertPool // who vouches for the proxy; nil if nobody needs to
	Key       string
	Namespace *Namespace // from where it asks; nil for the machine itself
}

// NewClient returns a client with connections of its own, which end with the test.
func NewClient(t testing.TB, protocol string, options ClientOptions) *Client {
	t.Helper()
	c := &Client{Protocol: protocol, Key: options.Key, base: "https://" + options.Address, host: options.Host, conns: &conns{}}
	secure := &tls.Config{RootCAs: options.Roots, InsecureSkipVerify: options.Roots == nil, ServerName: options.Host}
	if protocol == HTTP3 {
		c.http, c.close = newHTTP3(t, options.Namespace, secure)
	} else {
		c.http, c.close = newTCP(protocol, options.Namespace, secure, c.conns)
	}
	t.Cleanup(c.Sever)
	return c
}

// Close ends connections on which nothing runs.
func (c *Client) Close() { c.close() }

// Sever ends all connections at once.
func (c *Client) Sever() {
	c.close()
	c.conns.sever()
}

// conns are the TCP connections of a client.
type conns struct {
	mu   sync.Mutex
	list []net.Conn
}

func (c *conns) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, conn)
}

func (c *conns) sever() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.list {
		_ = conn.Close()
	}
	c.list = nil
}

func newTCP(protocol string, from *Namespace, secure *tls.Config, conns *conns) (*http.Client, func()) {
	secure.NextProtos = []string{"http/1.1"}
	if protocol == HTTP2 {
		secure.NextProtos = []string{"h2"}
	}
	transport := &http.Transport{
		TLSClientConfig:   secure,
		ForceAttemptHTTP2: protocol == HTTP2,
		HTTP2:             &http.HTTP2Config{MaxReceiveBufferPerStream: receiveWindow},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := from.dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			conns.add(conn)
			return conn, conn.(*net.TCPConn).SetReadBuffer(receiveWindow)
		},
	}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

func newHTTP3(t testing.TB, from *Namespace, secure *tls.Config) (*http.Client, func()) {
	t.Helper()
	conn, err := from.listenPacket()
	if err != nil {
		t.Fatal(err)
	}
	sockets := &quic.Transport{Conn: conn}
	var mu sync.Mutex
	var dialed []*quic.Conn // guarded by mu; after an error, http3.Transport forgets a connection and leaves it open
	transport := &http3.Transport{
		TLSClientConfig: secure,
		QUICConfig: &quic.Config{
			InitialStreamReceiveWindow: receiveWindow, MaxStreamReceiveWindow: receiveWindow, MaxIdleTimeout: 10 * time.Minute,
			KeepAlivePeriod: 10 * time.Second,
		},
		Dial: func(ctx context.Context, address string, secure *tls.Config, config *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp4", address)
			if err != nil {
				return nil, err
			}
			conn, err := sockets.DialEarly(ctx, to, secure, config)
			if err == nil {
				mu.Lock()
				dialed = append(dialed, conn)
				mu.Unlock()
			}
			return conn, err
		},
	}
	t.Cleanup(func() {
		_ = transport.Close()
		_ = sockets.Close()
		_ = conn.Close()
	})
	return &http.Client{Transport: transport}, func() {
		transport.CloseIdleConnections()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range dialed {
			_ = conn.CloseWithError(0, "")
		}
		dialed = nil
	}
}

// request is one with the key.
func (c *Client) request(ctx context.Context, method, path string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Access-Key", c.Key)
	if c.host != "" {
		r.Host = c.host
	}
	return r, nil
}
