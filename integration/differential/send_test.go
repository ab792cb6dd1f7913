package differential

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Connections that send requests exactly as they are: the usual clients correct or refuse most of what this test is about.

const answerTimeout = 3 * time.Second // a gateway may wait for the rest of a request that it cannot parse

// connection is to one address, and carries one request at a time. After an error it can't be used again.
type connection interface {
	exchange(r request, host, mark string) (status int, err error)
	close()
}

func dial(p protocol, local, address string) (connection, error) {
	config := harness.AnyCertificate()
	config.ServerName = "localhost"
	switch p {
	case http1:
		config.NextProtos = []string{"http/1.1"}
		conn, err := dialTLS(local, address, config)
		if err != nil {
			return nil, err
		}
		return &http1Connection{conn, bufio.NewReader(conn)}, nil
	case http2:
		config.NextProtos = []string{"h2"}
		conn, err := dialTLS(local, address, config)
		if err != nil {
			return nil, err
		}
		return newHTTP2Connection(conn)
	default:
		config.NextProtos = []string{"h3"}
		return newHTTP3Connection(local, address, config)
	}
}

func dialTLS(local, address string, config *tls.Config) (*tls.Conn, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}, Timeout: harness.Patience}
	return tls.DialWithDialer(dialer, "tcp", address, config)
}

type http1Connection struct {
	net.Conn
	reader *bufio.Reader
}

func (c *http1Connection) close() { c.Close() }

func (c *http1Connection) exchange(r request, host, mark string) (int, error) {
	_ = c.SetDeadline(time.Now().Add(answerTimeout))
	// A gateway may respond and close before it has read everything.
	_, writeErr := c.Write(r.http1Bytes(host, mark))
	response, err := c.response(r.method)
	if err != nil {
		return 0, err
	}
	if response.Close || r.mayConfuseFraming() {
		return response.StatusCode, errClosing
	}
	return response.StatusCode, writeErr
}

var errClosing = errors.New("the connection ends after the answer")

func (c *http1Connection) response(method string) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(c.reader, &http.Request{Method: strings.ToUpper(method)})
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode >= http.StatusOK || response.StatusCode == http.StatusSwitchingProtocols {
			return response, err
		}
	}
}

type http2Connection struct {
	net.Conn
	framer  *h2.Framer
	encoder *hpack.Encoder
	block   *bytes.Buffer
	stream  uint32
}

func newHTTP2Connection(conn net.Conn) (*http2Connection, error) {
	c := &http2Connection{Conn: conn, framer: h2.NewFramer(conn, bufio.NewReader(conn)), block: &bytes.Buffer{}, stream: 1}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.AllowIllegalWrites = true
	c.encoder = hpack.NewEncoder(c.block)
	_ = c.SetDeadline(time.Now().Add(harness.Patience))
	if _, err := io.WriteString(conn, h2.ClientPreface); err != nil {
		return nil, err
	}
	return c, c.framer.WriteSettings()
}

func (c *http2Connection) close() { c.Close() }

func (c *http2Connection) exchange(r request, host, mark string) (int, error) {
	_ = c.SetDeadline(time.Now().Add(answerTimeout))
	stream := c.stream
	c.stream += 2
	hasBody := r.body != "" || r.chunked
	if err := c.writeFields(stream, r.binaryFields(host, mark), !hasBody); err != nil {
		return 0, err
	}
	if hasBody {
		if err := c.framer.WriteData(stream, len(r.trailers) == 0, []byte(r.body)); err != nil {
			return 0, err
		}
		if len(r.trailers) > 0 {
			if err := c.writeFields(stream, r.trailers, true); err != nil {
				return 0, err
			}
		}
	}
	return c.answer(stream)
}

func (c *http2Connection) writeFields(stream uint32, fields []field, end bool) error {
	const most = 16 << 10 // of a frame
	c.block.Reset()
	for i, f := range fields {
		// Some are never indexed, as browsers encode credentials.
		if err := c.encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value, Sensitive: i%5 == 4}); err != nil {
			return err
		}
	}
	block := c.block.Bytes()
	first := block[:min(most, len(block))]
	block = block[len(first):]
	err := c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		next := block[:min(most, len(block))]
		block = block[len(next):]
		err = c.framer.WriteContinuation(stream, len(block) == 0, next)
	}
	return err
}

func (c *http2Connection) answer(stream uint32) (status int, err error) {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return status, err
		}
		ended := false
		switch f := frame.(type) {
		case *h2.SettingsFrame:
			if !f.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *h2.PingFrame:
			if !f.IsAck() {
				err = c.framer.WritePing(true, f.Data)
			}
		case *h2.MetaHeadersFrame:
			if f.StreamID == stream {
				_, _ = fmt.Sscan(f.PseudoValue("status"), &status)
				ended = f.StreamEnded()
			}
		case *h2.DataFrame:
			if n := f.Header().Length; n > 0 {
				err = c.framer.WriteWindowUpdate(0, n)
			}
			ended = f.StreamID == stream && f.StreamEnded()
		case *h2.RSTStreamFrame:
			ended = f.StreamID == stream
		case *h2.GoAwayFrame:
			return status, errClosing
		}
		if err != nil || ended {
			return status, err
		}
	}
}

type http3Connection struct {
	transport *quic.Transport
	conn      *quic.Conn
}

func newHTTP3Connection(local, address string, config *tls.Config) (*http3Connection, error) {
	remote, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(local)})
	if err != nil {
		return nil, err
	}
	c := &http3Connection{transport: &quic.Transport{Conn: socket}}
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	if c.conn, err = c.transport.Dial(ctx, remote, config, &quic.Config{}); err != nil {
		c.close()
		return nil, err
	}
	control, err := c.conn.OpenUniStream()
	if err != nil {
		c.close()
		return nil, err
	}
	const controlStream, settings = 0, 4 // RFC 9114, sections 6.2.1 and 7.2.4
	_, err = control.Write([]byte{controlStream, settings, 0})
	return c, err
}

func (c *http3Connection) close() {
	if c.conn != nil {
		_ = c.conn.CloseWithError(0x100, "") // H3_NO_ERROR
	}
	_ = c.transport.Close()
	_ = c.transport.Conn.Close()
}

const (
	dataFrame    = 0
	headersFrame = 1
)

func (c *http3Connection) exchange(r request, host, mark string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	stream, err := c.conn.OpenStreamSync(ctx)
	if err != nil {
		return 0, err
	}
	_ = stream.SetDeadline(time.Now().Add(answerTimeout))
	content, err := http3Fields(nil, r.binaryFields(host, mark))
	if err != nil {
		return 0, err
	}
	if r.body != "" {
		content = http3Frame(content, dataFrame, []byte(r.body))
	}
	if len(r.trailers) > 0 {
		if content, err = http3Fields(content, r.trailers); err != nil {
			return 0, err
		}
	}
	_, writeErr := stream.Write(content)
	_ = stream.Close()
	status, err := http3Answer(stream)
	var reset *quic.StreamError
	if errors.As(err, &reset) { // a refusal that concerns this stream only
		return status, nil
	}
	return status, errors.Join(err, writeErr)
}

func http3Frame(to []byte, kind uint64, content []byte) []byte {
	to = quicvarint.Append(to, kind)
	to = quicvarint.Append(to, uint64(len(content)))
	return append(to, content...)
}

func http3Fields(to []byte, fields []field) ([]byte, error) {
	var block bytes.Buffer
	encoder := qpack.NewEncoder(&block)
	for _, f := range fields {
		if err := encoder.WriteField(qpack.HeaderField{Name: f.name, Value: f.value}); err != nil {
			return nil, err
		}
	}
	return http3Frame(to, headersFrame, block.Bytes()), encoder.Close()
}

func http3Answer(stream io.Reader) (status int, err error) {
	reader := quicvarint.NewReader(stream)
	for {
		kind, err := quicvarint.Read(reader)
		if errors.Is(err, io.EOF) && status != 0 {
			return status, nil
		}
		if err != nil {
			return status, err
		}
		length, err := quicvarint.Read(reader)
		if err != nil {
			return status, err
		}
		content := make([]byte, min(length, 1<<20))
		if _, err := io.ReadFull(reader, content); err != nil {
			return status, err
		}
		if kind != headersFrame {
			continue
		}
		next := qpack.NewDecoder().Decode(content)
		for f, err := next(); err == nil; f, err = next() {
			if f.Name == ":status" {
				_, _ = fmt.Sscan(f.Value, &status)
			}
		}
	}
}
