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
	"os"
	"path/filepath"
	"strings"
	"time"
)

// growth is how the standalone proxy's cost grows with something.
type growth struct {
	Of     string   `json:"of"`
	Unit   string   `json:"unit"`
	Points []*point `json:"points"`
}

type point struct {
	At int `json:"at"`
	spread
	Memory float64 `json:"memory"` // MB that are resident afterwards
}

// dimension is something that cost may grow with.
type dimension struct {
	of      string
	unit    string
	at      []int
	options func(s *site, n int) ([]string, error) // of the proxy
	prepare func(ctx context.Context, c *client, n int) (end func(), err error)
	connect func(ctx context.Context, c *client) error // as of a load
	run     func(ctx context.Context, c *client, o *options, n int) (units float64, err error)
}

var dimensions = []dimension{
	{of: "keys", unit: perRequest, at: []int{1, 100, 10_000}, options: manyKeys, connect: connectHTTP1, run: oneByOne},
	{of: "trusted networks", unit: perRequest, at: []int{1, 30, 1_000}, options: manyNetworks, connect: connectAsProxy, run: oneByOne},
	{of: "open connections", unit: perRequest, at: []int{1, 500, 5_000}, options: manyConnections, prepare: openConnections, connect: connectHTTP1, run: oneByOne},
	{of: "MB an upload", unit: perGigabyte, at: []int{1, 10, 100, 1_000}, connect: connectBy(overHTTP1), run: uploads},
}

// measureGrowth starts a proxy for each point. They take turns, as the proxies of a comparison do.
func (r *results) measureGrowth(ctx context.Context, o *options, s *site, binary string, d dimension) error {
	g := &growth{Of: d.of, Unit: d.unit}
	r.Growth = append(r.Growth, g)
	var peers []*peer
	defer func() {
		for _, p := range peers {
			p.stop()
		}
	}()
	for _, n := range d.at {
		var more []string
		var err error
		if d.options != nil {
			if more, err = d.options(s, n); err != nil {
				return err
			}
		}
		p, err := ours("ours", binary, more...).start(ctx, s)
		if err != nil {
			return err
		}
		peers = append(peers, p)
		g.Points = append(g.Points, &point{At: n})
		if d.prepare == nil {
			continue
		}
		c := newClient(s, p.address)
		defer c.close()
		end, err := d.prepare(ctx, c, n)
		if err != nil {
			return err
		}
		defer end()
	}
	for round := range o.rounds + 1 {
		for i, p := range peers {
			l := load{name: d.of, unit: d.unit, connect: d.connect, run: func(ctx context.Context, c *client, o *options) (float64, error) { return d.run(ctx, c, o, d.at[i]) }}
			cost, _, err := turn(ctx, o, s, p, l)
			if err != nil {
				return fmt.Errorf("%d %s: %w", d.at[i], d.of, err)
			}
			if round > 0 {
				g.Points[i].add(cost)
			}
		}
	}
	for i, p := range peers {
		memory, err := p.memory("VmRSS:")
		if err != nil {
			return err
		}
		g.Points[i].Memory = memory / 1e6
	}
	return nil
}

func oneByOne(ctx context.Context, c *client, o *options, _ int) (float64, error) {
	return http1Requests(ctx, c, o)
}

// manyKeys has the key that is used as the last.
func manyKeys(s *site, n int) ([]string, error) {
	var keys strings.Builder
	for i := 1; i < n; i++ {
		fmt.Fprintf(&keys, "other%d:%032d\n", i, i)
	}
	fmt.Fprintf(&keys, "used:%s-in-the-file\n", accessKey)
	file := filepath.Join(s.dir, fmt.Sprintf("keys-%d", n))
	return []string{"--access.keysFile=" + file}, os.WriteFile(file, []byte(keys.String()), 0o600)
}

// manyNetworks has that of the client as the last.
func manyNetworks(_ *site, n int) ([]string, error) {
	const octet = 256
	networks := make([]string, 0, n)
	for i := 1; i < n; i++ {
		networks = append(networks, fmt.Sprintf("10.%d.%d.0/24", i/octet, i%octet))
	}
	return []string{"--access.trustedProxies=" + strings.Join(append(networks, "127.0.0.0/8"), ",")}, nil
}

func connectAsProxy(ctx context.Context, c *client) error {
	c.forwardedFor = "203.0.113.7"
	return connectHTTP1(ctx, c)
}

const connectionLimits = "20000"

func manyConnections(*site, int) ([]string, error) {
	return []string{"--limits.connections=" + connectionLimits, "--limits.connectionsPerClient=" + connectionLimits}, nil
}

// openConnections leaves all but the one of the load idle, after a request.
func openConnections(ctx context.Context, c *client, n int) (end func(), err error) {
	conns := make([]net.Conn, 0, n)
	end = func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
	for range n - 1 {
		conn, err := c.openConnection(ctx, thumbnail, http.StatusOK, nil)
		if err != nil {
			end()
			return nil, err
		}
		conns = append(conns, conn)
	}
	return end, nil
}

// openConnection returns a connection on which there was one request.
func (c *client) openConnection(ctx context.Context, path string, status int, header http.Header) (net.Conn, error) {
	r, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if err := r.Write(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if response.StatusCode == http.StatusOK {
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	if err != nil || response.StatusCode != status {
		return nil, errors.Join(fmt.Errorf("status %d, %w", response.StatusCode, err), conn.Close())
	}
	return conn, conn.SetDeadline(time.Time{})
}

// uploads sends about as much with small ones as with a large one.
func uploads(ctx context.Context, c *client, o *options, n int) (float64, error) {
	sent := 0.0
	for range max(1, int(o.transfer)/n) {
		gigabytes, err := c.uploadOf(ctx, c.http1, int64(n)*1e6)
		if err != nil {
			return 0, err
		}
		sent += gigabytes
	}
	return sent, nil
}
