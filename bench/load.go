package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// load is one thing to measure.
type load struct {
	name    string
	unit    string
	needs   protocols
	connect func(ctx context.Context, c *client) error // before it is measured; nil if there is nothing to do
	run     func(ctx context.Context, c *client, o *options) (units float64, err error)
}

const (
	perRequest    = "µs/request"
	perConnection = "µs/connection"
	perGigabyte   = "CPU-s/GB"
	// streams is how many requests are in progress at the same time: those of a browser that scrolls through a timeline.
	streams = 16
	// http1Conns is how many connections browsers open to one host.
	http1Conns = 6
	// requestsOfConnection is how many requests a turn has for each new connection that it has.
	requestsOfConnection = 10
)

var loads = []load{
	{"h1 requests", perRequest, http1Only, connectHTTP1, http1Requests},
	{"h2 requests", perRequest, http1And2, connectBy(overHTTP2), requestsBy(overHTTP2)},
	{"h3 requests", perRequest, http1To3, connectBy(overHTTP3), requestsBy(overHTTP3)},
	{"connections", perConnection, http1Only, nil, newConnections},
	{"h1 up", perGigabyte, http1Only, connectBy(overHTTP1), uploadBy(overHTTP1)},
	{"h1 down", perGigabyte, http1Only, connectBy(overHTTP1), downloadBy(overHTTP1)},
	{"h2 up", perGigabyte, http1And2, connectBy(overHTTP2), uploadBy(overHTTP2)},
	{"h2 down", perGigabyte, http1And2, connectBy(overHTTP2), downloadBy(overHTTP2)},
	{"h3 up", perGigabyte, http1To3, connectBy(overHTTP3), uploadBy(overHTTP3)},
	{"h3 down", perGigabyte, http1To3, connectBy(overHTTP3), downloadBy(overHTTP3)},
}

func overHTTP1(c *client) http.RoundTripper { return c.http1 }
func overHTTP2(c *client) http.RoundTripper { return c.http2 }
func overHTTP3(c *client) http.RoundTripper { return c.http3 }

func connectBy(over func(*client) http.RoundTripper) func(context.Context, *client) error {
	return func(ctx context.Context, c *client) error { return c.ask(ctx, over(c)) }
}

func requestsBy(over func(*client) http.RoundTripper) func(context.Context, *client, *options) (float64, error) {
	return func(ctx context.Context, c *client, o *options) (float64, error) { return requests(ctx, over(c), c, o) }
}

func uploadBy(over func(*client) http.RoundTripper) func(context.Context, *client, *options) (float64, error) {
	return func(ctx context.Context, c *client, o *options) (float64, error) { return c.upload(ctx, over(c), o) }
}

func downloadBy(over func(*client) http.RoundTripper) func(context.Context, *client, *options) (float64, error) {
	return func(ctx context.Context, c *client, o *options) (float64, error) { return c.download(ctx, over(c), o) }
}

func loadNames() []string {
	var names []string
	for _, l := range loads {
		names = append(names, l.name)
	}
	return names
}

// client is the client of one proxy.
type client struct {
	address      string
	tls          *tls.Config
	forwardedFor string // what a trusted proxy would say
	http1        http.RoundTripper
	http2        http.RoundTripper
	http3        http.RoundTripper
	kept         []*keptConn
	close        func()
}

func newClient(s *site, address string) *client {
	config := &tls.Config{RootCAs: s.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	one := &http.Transport{TLSClientConfig: config.Clone(), WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10, DisableCompression: true}
	one.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	two := &http.Transport{TLSClientConfig: config.Clone(), DisableCompression: true, Protocols: new(http.Protocols)}
	two.Protocols.SetHTTP2(true)
	three := &http3.Transport{TLSClientConfig: config.Clone(), DisableCompression: true}
	c := &client{address: address, tls: config, http1: one, http2: two, http3: three}
	c.close = func() {
		one.CloseIdleConnections()
		two.CloseIdleConnections()
		_ = three.Close()
		for _, conn := range c.kept {
			_ = conn.Close()
		}
	}
	return c
}

func (c *client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "https://"+c.address+path, body)
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{
		"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		"Accept":          {"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"},
		"Accept-Language": {"en-US,en;q=0.5"},
		"Accept-Encoding": {"gzip, deflate, br, zstd"},
		"Referer":         {"https://photos.example.com/photos"},
		"Cookie":          {"immich_access_token=dGhpcyBpcyBub3QgYSB0b2tlbiBhdCBhbGw; immich_auth_type=password; immich_is_authenticated=true"},
		"Sec-Fetch-Dest":  {"image"},
		"Sec-Fetch-Mode":  {"no-cors"},
		"Sec-Fetch-Site":  {"same-origin"},
		"X-Access-Key":    {accessKey},
	}
	return r, nil
}

const thumbnail = "/api/assets/1/thumbnail?size=preview"

func (c *client) thumbnailRequest(ctx context.Context) (*http.Request, error) {
	r, err := c.request(ctx, http.MethodGet, thumbnail, nil)
	if err == nil && c.forwardedFor != "" {
		r.Header.Set("X-Forwarded-For", c.forwardedFor)
	}
	return r, err
}

// ask sends one request.
func (c *client) ask(ctx context.Context, over http.RoundTripper) error {
	r, err := c.request(ctx, http.MethodGet, thumbnail, nil)
	if err != nil {
		return err
	}
	return take(over, r, -1)
}

// requests makes small requests, several at the same time, on one connection if the protocol allows it.
func requests(ctx context.Context, over http.RoundTripper, c *client, o *options) (float64, error) {
	var left atomic.Int64
	left.Store(int64(o.requests))
	return float64(o.requests), inParallel(streams, func(int) error {
		for left.Add(-1) >= 0 {
			r, err := c.request(ctx, http.MethodGet, thumbnail, nil)
			if err != nil {
				return err
			}
			if err := take(over, r, int64(o.answer)); err != nil {
				return err
			}
		}
		return nil
	})
}

// keptConn is a connection for one request after another: http.Transport would use more processor time than the proxy.
type keptConn struct {
	*tls.Conn

	reader *bufio.Reader
	writer *bufio.Writer
}

func (c *client) dial() (*keptConn, error) {
	raw, err := net.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, c.tls)
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return &keptConn{conn, bufio.NewReaderSize(conn, 16<<10), bufio.NewWriter(conn)}, nil
}

func (c *keptConn) ask(r *http.Request) error {
	if err := errors.Join(r.Write(c.writer), c.writer.Flush()); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || response.StatusCode != http.StatusOK || n != response.ContentLength {
		return fmt.Errorf("status %d, %d bytes, %w", response.StatusCode, n, err)
	}
	return nil
}

// connectHTTP1 opens connections, and sends a request on each: TLS is done then.
func connectHTTP1(ctx context.Context, c *client) error {
	r, err := c.thumbnailRequest(ctx)
	if err != nil {
		return err
	}
	for range http1Conns {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		c.kept = append(c.kept, conn)
		if err := conn.ask(r); err != nil {
			return err
		}
	}
	return nil
}

func http1Requests(ctx context.Context, c *client, o *options) (float64, error) {
	r, err := c.thumbnailRequest(ctx)
	if err != nil {
		return 0, err
	}
	each := o.requests / len(c.kept)
	return float64(each * len(c.kept)), inParallel(len(c.kept), func(i int) error {
		for range each {
			if err := c.kept[i].ask(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// newConnections opens connections for one request each, as many at the same time as a browser does.
func newConnections(ctx context.Context, c *client, o *options) (float64, error) {
	r, err := c.thumbnailRequest(ctx)
	if err != nil {
		return 0, err
	}
	each := o.requests / requestsOfConnection / http1Conns
	return float64(each * http1Conns), inParallel(http1Conns, func(int) error {
		for range each {
			conn, err := c.dial()
			if err != nil {
				return err
			}
			if err := errors.Join(conn.ask(r), conn.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

func inParallel(n int, do func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// take reads a response to its end. If want is negative, it may have any length.
func take(over http.RoundTripper, r *http.Request, want int64) error {
	response, err := over.RoundTrip(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, make([]byte, 64<<10))
	if err != nil || response.StatusCode != http.StatusOK || want >= 0 && n != want {
		return fmt.Errorf("status %d, %d bytes, %w", response.StatusCode, n, err)
	}
	return nil
}

func (c *client) download(ctx context.Context, over http.RoundTripper, o *options) (float64, error) {
	size := o.transfer * 1e6
	r, err := c.request(ctx, http.MethodGet, fmt.Sprintf("/api/assets/1/original?size=%d", size), nil)
	if err != nil {
		return 0, err
	}
	return float64(size) / 1e9, take(over, r, size)
}

func (c *client) upload(ctx context.Context, over http.RoundTripper, o *options) (float64, error) {
	return c.uploadOf(ctx, over, o.transfer*1e6)
}

func (c *client) uploadOf(ctx context.Context, over http.RoundTripper, size int64) (float64, error) {
	r, err := c.request(ctx, http.MethodPost, "/api/assets", &zeros{left: size})
	if err != nil {
		return 0, err
	}
	r.ContentLength = size
	return float64(size) / 1e9, take(over, r, 0)
}

// zeros is content that is cheap to produce.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	z.left -= n
	return int(n), nil
}
