package testbed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// receiveWindow is how much a client lets the proxy send before it has read it: little, so that a download that is read slowly
// is in progress, not in a buffer.
const receiveWindow = 256 << 10

// Client uses one protocol, with a key.
type Client struct {
	Protocol string
	Key      string
	base     string // URL of the proxy
	host     string // the Host of requests; empty for the address
	http     *http.Client
	close    func()
	conns    *conns
}

// ClientOptions are what a Client connects to, and with which key.
type ClientOptions struct {
	Address   string
	Host      string         // empty for the address
	Roots     *x509.CertPool // of the proxy's certificate; nil for any certificate
	Key       string
	Namespace *Namespace // it connects from; nil for the machine itself
}

// NewClient returns a client with its own connections, which end with the test.
func NewClient(t testing.TB, protocol string, options ClientOptions) *Client {
	t.Helper()
	c := &Client{Protocol: protocol, Key: options.Key, base: "https://" + options.Address, host: options.Host, conns: &conns{}}
	secure := &tls.Config{RootCAs: options.Roots, InsecureSkipVerify: options.Roots == nil, ServerName: options.Host}
	if protocol == harness.HTTP3 {
		c.http, c.close = newHTTP3(t, options.Namespace, secure)
	} else {
		c.http, c.close = newTCP(protocol, options.Namespace, secure, c.conns)
	}
	t.Cleanup(c.CloseAll)
	return c
}

// Close closes idle connections.
func (c *Client) Close() { c.close() }

// CloseAll closes all connections immediately.
func (c *Client) CloseAll() {
	c.close()
	c.conns.closeAll()
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

func (c *conns) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.list {
		_ = conn.Close()
	}
	c.list = nil
}

func newTCP(protocol string, from *Namespace, secure *tls.Config, conns *conns) (*http.Client, func()) {
	secure.NextProtos = []string{"http/1.1"}
	if protocol == harness.HTTP2 {
		secure.NextProtos = []string{"h2"}
	}
	transport := &http.Transport{
		TLSClientConfig:   secure,
		ForceAttemptHTTP2: protocol == harness.HTTP2,
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

// answer returns the whole answer to a request.
func (c *Client) answer(r *http.Request) Outcome {
	response, err := c.http.Do(r)
	if err != nil {
		return Outcome{Err: err}
	}
	defer func() { _ = response.Body.Close() }()
	const most = 1 << 20
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err == nil && response.Proto != c.Protocol {
		err = fmt.Errorf("the protocol of the answer is %s", response.Proto)
	}
	return Outcome{Status: response.StatusCode, Err: err, Body: string(body)}
}

// Get makes a small request, with a fault of Immich's if one is named.
func (c *Client) Get(path, fault string, within time.Duration) Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	r, err := c.request(ctx, http.MethodGet, path)
	if err != nil {
		return Outcome{Err: err}
	}
	if fault != "" {
		r.Header.Set(faultHeader, fault)
	}
	start := time.Now()
	o := c.answer(r)
	o.Took = time.Since(start)
	return o
}

// WithKey returns the same client with another key.
func (c *Client) WithKey(key string) *Client {
	other := *c
	other.Key = key
	return &other
}
