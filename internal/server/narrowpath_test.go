package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// narrowPayload is what IPv6 leaves of the 1,280 bytes that every path has room for (RFC 8200, section 5).
const narrowPayload = 1280 - 40 - 8

// narrowPath loses what is larger than that, in both directions.
type narrowPath struct {
	net.PacketConn
}

func (p narrowPath) ReadFrom(buffer []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.PacketConn.ReadFrom(buffer)
		if err != nil || n <= narrowPayload {
			return n, from, err
		}
	}
}

func (p narrowPath) WriteTo(datagram []byte, to net.Addr) (int, error) {
	if len(datagram) > narrowPayload {
		return len(datagram), nil
	}
	return p.PacketConn.WriteTo(datagram, to)
}

// TestHTTP3OverANarrowPath is what clients of Tailscale, or of IPv6 in a tunnel, have.
func TestHTTP3OverANarrowPath(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := &quic.Transport{Conn: narrowPath{socket}}
	three := &http3.Transport{
		TLSClientConfig: trusting(),
		Dial: func(ctx context.Context, address string, tls *tls.Config, _ *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp", address)
			if err != nil {
				return nil, err
			}
			return path.DialEarly(ctx, to, tls, &quic.Config{InitialPacketSize: quicPacketSize})
		},
	}
	t.Cleanup(func() {
		_ = three.Close()
		_ = path.Close()
		_ = socket.Close()
	})
	client := &http.Client{Transport: three, Timeout: patience}
	content := numbered(1 << 20)
	response, err := client.Post("https://"+s.address+"/body", "text/plain", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := s.received(t); !errors.Is(got.err, io.EOF) || !bytes.Equal(got.content, content) {
		t.Errorf("%d bytes of %d arrived, %v", len(got.content), len(content), got.err)
	}
}
