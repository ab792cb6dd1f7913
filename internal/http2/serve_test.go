package http2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/flowcontrol"
	"github.com/immichaccess/immichaccess/internal/testlog"
	"golang.org/x/net/http2/hpack"
)

const patience = 20 * time.Second

// served is a Server on loopback, without TLS.
type served struct {
	*Server

	address string
	monitor *recorder
	log     *testlog.Log
}

func serve(t testing.TB, handler http.HandlerFunc, changes ...func(*Server)) served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	text := &testlog.Log{}
	s := served{&Server{
		Handler:     handler,
		Usual:       &http.Server{ErrorLog: log.New(text, "", 0)},
		HeadTimeout: patience,
		KeepAlive:   time.Minute,
		MaxHead:     32 << 10,
		MaxStreams:  100,
		Uploads:     flowcontrol.NewHTTP2(),
	}, l.Addr().String(), &recorder{}, text}
	for _, change := range changes {
		change(s.Server)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.Serve(context.Background(), conn, nil, s.monitor) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.Close()
		serving.Wait()
	})
	return s
}

// recorder is a Monitor.
type recorder struct {
	mu      sync.Mutex
	asked   int
	pending int64
	most    int64 // of pending
	running bool
}

func (r *recorder) HasAsked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
}

func (r *recorder) Pending(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending, r.most = bytes, max(r.most, bytes)
}

func (r *recorder) Serving(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = running
}

// newClient is net/http's, with prior knowledge.
func newClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// peer is a client that sends frames.
type peer struct {
	net.Conn

	t       testing.TB
	encoder *hpack.Encoder
	block   bytes.Buffer
	decoder *hpack.Decoder
}

// dial sends the preface and settings, which are pairs of an identifier and a value.
func (s served) dial(t testing.TB, settings ...int) *peer {
	t.Helper()
	p := s.connect(t)
	p.settings(settings...)
	return p
}

// connect sends only the preface.
func (s served) connect(t testing.TB) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	p := &peer{Conn: conn, t: t}
	p.reset()
	p.send(preface)
	return p
}

func (p *peer) reset() {
	p.decoder = hpack.NewDecoder(4<<10, nil)
	p.encoder = hpack.NewEncoder(&p.block)
}

func (p *peer) send(frames ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p, strings.Join(frames, "")); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) settings(pairs ...int) {
	var payload []byte
	for i := 0; i < len(pairs); i += 2 {
		payload = appendSetting(payload, uint16(pairs[i]), pairs[i+1])
	}
	p.send(frameOf(frameSettings, 0, 0, string(payload)))
}

func frameOf(kind, flags byte, stream uint32, payload string) string {
	return string(appendFrame(nil, len(payload), kind, flags, stream)) + payload
}

func windowUpdate(stream, by uint32) string {
	return string(appendNumber(nil, frameWindowUpdate, stream, by))
}

// head is a field block: of pairs of a name and a value.
func (p *peer) head(pairs ...string) string {
	p.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return p.block.String()
}

// request is the field block of a request for path.
func (p *peer) request(method, path string, more ...string) string {
	return p.head(append([]string{":method", method, ":scheme", "http", ":authority", "localhost", ":path", path}, more...)...)
}

// get sends a whole request.
func (p *peer) get(stream uint32, path string) {
	p.send(frameOf(frameHeaders, flagEndHeaders|flagEndStream, stream, p.request("GET", path)))
}

// received is a frame from the server.
type received struct {
	frame

	payload string
	fields  map[string]string // of HEADERS
}

func (r *received) number() uint32 {
	return binary.BigEndian.Uint32([]byte(r.payload))
}

// next returns the error at the end of the connection.
func (p *peer) next() (*received, error) {
	head := make([]byte, frameHeadSize)
	if _, err := io.ReadFull(p, head); err != nil {
		return nil, err
	}
	r := &received{frame: parseFrame(head)}
	payload := make([]byte, r.length)
	if _, err := io.ReadFull(p, payload); err != nil {
		return nil, err
	}
	r.payload = string(payload)
	if r.kind == frameHeaders && r.has(flagEndHeaders) {
		fields, err := p.decoder.DecodeFull(payload)
		if err != nil {
			p.t.Fatal(err)
		}
		r.fields = map[string]string{}
		for _, field := range fields {
			r.fields[field.Name] = field.Value
		}
	}
	return r, nil
}

// await skips frames until there is one of the type.
func (p *peer) await(kind byte) *received {
	p.t.Helper()
	for {
		r, err := p.next()
		if err != nil {
			p.t.Fatalf("instead of a frame of type %d: %v", kind, err)
		}
		if r.kind == kind && (kind != frameSettings || !r.has(flagAck)) {
			return r
		}
	}
}

// sync returns when the server has read all that was sent.
func (p *peer) sync() {
	p.t.Helper()
	p.send(frameOf(framePing, 0, 0, "12345678"))
	p.await(framePing)
}

// ends fails if the connection stays.
func (p *peer) ends() {
	p.t.Helper()
	for {
		_, err := p.next()
		if isTimeout(err) {
			p.t.Fatal("the connection stays")
		}
		if err != nil {
			return
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// drain reads until the connection ends.
func (p *peer) drain() {
	_, err := io.Copy(io.Discard, p)
	if isTimeout(err) {
		p.t.Fatal("the connection stays")
	}
}
