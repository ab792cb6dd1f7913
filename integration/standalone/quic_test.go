package standalone

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

const framesHeaders = 1 // an HTTP/3 frame

// quicConnect opens connections over a few sockets.
func (d *target) quicConnect(t *testing.T, count int, begin func(conn *quic.Conn)) (end func()) {
	t.Helper()
	const sockets = 16
	var transports [sockets]*quic.Transport
	for i := range transports {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		transports[i] = &quic.Transport{Conn: socket}
	}
	to, err := net.ResolveUDPAddr("udp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int64
	inParallel(count, func(i int) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := transports[i%sockets].Dial(ctx, to, harness.AnyCertificate("h3"), &quic.Config{MaxIdleTimeout: time.Minute})
		if err != nil {
			return // refused, which is fine
		}
		opened.Add(1)
		begin(conn)
	})
	t.Logf("%d of %d connections were accepted", opened.Load(), count)
	return func() {
		for _, transport := range transports {
			_ = transport.Close()
			_ = transport.Conn.Close()
		}
	}
}

// sendStream opens a stream if it may do so immediately.
func sendStream(conn *quic.Conn, content []byte) {
	stream, err := conn.OpenStream()
	if err != nil {
		return
	}
	_ = stream.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = stream.Write(content)
}

// halfRequests announces heads of 30 KB, and sends 1 KB of each.
func halfRequests(t *testing.T, d *target) func() {
	t.Helper()
	const conns, requests = 300, 100
	half := quicvarint.Append(nil, framesHeaders)
	half = quicvarint.Append(half, 30<<10)
	half = append(half, 0, 0) // of QPACK
	half = append(half, bytes.Repeat([]byte{0xd1}, 1000)...)
	return d.quicConnect(t, conns, func(conn *quic.Conn) {
		for range requests {
			sendStream(conn, half)
		}
	})
}

// largeFieldSections sends heads and trailers that QPACK makes small, on more connections than one client may have.
func largeFieldSections(t *testing.T, d *target) func() {
	t.Helper()
	// Indexed fields of the static table: :method POST, :scheme https, :path /, and :authority by its name.
	small := append([]byte{0, 0, 0xc0 | 20, 0xc0 | 23, 0xc0 | 1, 0x50, 9}, "localhost"...)
	const contentSecurityPolicy = 0xff // with 22, number 85 of the static table, 80 bytes
	large := bytes.Repeat([]byte{contentSecurityPolicy, 85 - 63}, 15<<10)
	withLargeHead := append(bytes.Clone(small), large...)
	trailers := append([]byte{0, 0}, large...)
	section := func(fields []byte) []byte {
		return append(quicvarint.Append([]byte{framesHeaders}, uint64(len(fields))), fields...)
	}
	return d.quicConnect(t, manyConns*3/2, func(conn *quic.Conn) {
		for range 4 {
			sendStream(conn, section(withLargeHead))
			sendStream(conn, append(section(small), section(trailers)...))
		}
	})
}

// abandonedHandshakes begins twice as many as manyConns. Half of them answer a Retry, as a client with a real address can; then
// they send nothing more.
func abandonedHandshakes(t *testing.T, d *target) func() {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	var sockets []*abandoning
	var mu sync.Mutex
	inParallel(2*manyConns, func(i int) {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		conn := &abandoning{PacketConn: socket, retries: i%2 == 0}
		mu.Lock()
		sockets = append(sockets, conn)
		mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := quic.Dial(ctx, conn, to, harness.AnyCertificate("h3"), nil); err == nil {
			t.Error("a handshake is complete")
		}
	})
	return func() {
		for _, socket := range sockets {
			_ = socket.Close()
		}
	}
}

// abandoning receives only a Retry, and never sends the end of a connection.
type abandoning struct {
	net.PacketConn

	retries bool
}

func (a *abandoning) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := a.PacketConn.ReadFrom(p)
		const longHeader, retry = 0xc0, 0x30
		if err != nil || a.retries && n > 0 && p[0]&longHeader == longHeader && p[0]&retry == retry {
			return n, from, err
		}
	}
}

// WriteTo passes on only padded datagrams, as a client's first ones are.
func (a *abandoning) WriteTo(p []byte, to net.Addr) (int, error) {
	const padded = 1200
	if len(p) < padded {
		return len(p), nil
	}
	return a.PacketConn.WriteTo(p, to)
}
