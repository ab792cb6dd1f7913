package http2

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/internal/flowcontrol"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// conn is a connection. One goroutine reads its frames, and never waits for the client to read.
type conn struct {
	server   *Server
	raw      net.Conn
	monitor  Monitor
	uploads  *flowcontrol.Share
	template *http.Request // what the requests have in common
	ctx      context.Context

	// Of the goroutine that reads:
	reader    *bufio.Reader
	head      headReader
	headTimer *time.Timer // runs while a head is incomplete

	mu        sync.Mutex
	out       output
	streams   map[uint32]*stream
	newest    uint32              // the highest number of a stream that the client has opened
	ignored   map[uint32]struct{} // streams that the server has reset, and the client not ended
	asked     bool                // there was a request; set by the goroutine that reads
	lingering []*stream           // which have been answered, and the client may still send on
	running   int                 // handlers
	waiting   []*stream           // whose handlers have to wait for others
	received  receiveWindow
	stopping  bool   // no more requests are accepted
	served    uint32 // the number of the last that was, then
	ending    bool   // the connection will be closed soon
	idleSince time.Time
	idleTimer *time.Timer
}

// readBuffer holds most heads. Bodies are not read through it.
const readBuffer = 4 << 10

func newConn(ctx context.Context, server *Server, raw net.Conn, state *tls.ConnectionState, monitor Monitor) *conn {
	c := &conn{
		server:  server,
		raw:     raw,
		monitor: monitor,
		uploads: server.Uploads.Share(),
		reader:  bufio.NewReaderSize(raw, readBuffer),
		streams: map[uint32]*stream{},
		ignored: map[uint32]struct{}{},
	}
	ctx = context.WithValue(ctx, http.ServerContextKey, server.Usual)
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, raw.LocalAddr())
	c.ctx = ctx
	common := http.Request{Proto: "HTTP/2.0", ProtoMajor: 2, RemoteAddr: raw.RemoteAddr().String(), TLS: state}
	c.template = &common
	c.out.init(c)
	c.head.init(server.MaxHead)
	c.received.open = defaultWindow
	c.headTimer = time.AfterFunc(server.HeadTimeout, func() { c.abandon(errHeadTimeout) })
	return c
}

var (
	errDisconnected = errors.New("HTTP/2: the connection has ended")
	errHeadTimeout  = errors.New("HTTP/2: a request did not arrive in time")
	errPreface      = errors.New("HTTP/2: the preface is missing") // so this may be another protocol (RFC 9113, section 3.4)
)

// serve returns when the connection has ended.
func (c *conn) serve() {
	err := c.readFrames()
	if broken, ok := errors.AsType[connError](err); ok {
		c.fail(broken.code)
		c.discard()
	}
	c.headTimer.Stop()
	c.abandon(err)
}

func (c *conn) readFrames() error {
	start := make([]byte, len(preface))
	if _, err := io.ReadFull(c.reader, start); err != nil {
		return err
	}
	if string(start) != preface {
		return errPreface
	}
	c.begin()
	if err := c.readFirst(); err != nil {
		return err
	}
	for {
		err := c.readFrame()
		if ended, ok := errors.AsType[streamError](err); ok {
			c.reset(ended.stream, ended.code)
			continue
		}
		if err != nil {
			return err
		}
	}
}

// begin sends the server's settings, and extends the connection's window.
func (c *conn) begin() {
	settings := appendSetting(nil, settingStreams, c.server.MaxStreams)
	settings = appendSetting(settings, settingWindow, flowcontrol.UploadWindow)
	settings = appendSetting(settings, settingHeadSize, c.server.MaxHead)
	frames := append(appendFrame(nil, len(settings), frameSettings, 0, 0), settings...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limitIdle()
	c.out.queue(appendNumber(frames, frameWindowUpdate, 0, c.received.give(flowcontrol.UploadWindow-defaultWindow)))
}

// readFirst reads the frame that has to be the client's settings.
func (c *conn) readFirst() error {
	head, err := c.reader.Peek(frameHeadSize)
	if err != nil {
		return err
	}
	if f := parseFrame(head); f.kind != frameSettings || f.has(flagAck) {
		return connError{codeProtocol, "the first frame is not SETTINGS"}
	}
	return c.readFrame()
}

func (c *conn) readFrame() error {
	head, err := c.reader.Peek(frameHeadSize)
	if err != nil {
		return err
	}
	f := parseFrame(head)
	_, _ = c.reader.Discard(frameHeadSize)
	switch {
	case f.length > maxFrame:
		return connError{codeFrameSize, "a frame is too large"}
	case c.head.stream != 0 && (f.kind != frameContinuation || f.stream != c.head.stream):
		return connError{codeProtocol, "a head is interrupted"}
	}
	switch f.kind {
	case frameData:
		return c.readData(f)
	case frameHeaders:
		return c.readHeaders(f)
	case frameContinuation:
		return c.readContinuation(f)
	}
	return c.readControl(f)
}

// payload is valid until the next read.
func (c *conn) payload(f frame) ([]byte, error) {
	if f.length <= readBuffer {
		p, err := c.reader.Peek(f.length)
		if err == nil {
			_, _ = c.reader.Discard(f.length)
		}
		return p, err
	}
	p := make([]byte, f.length)
	_, err := io.ReadFull(c.reader, p)
	return p, err
}

// unpad returns the payload without the padding that its flags announce.
func unpad(f frame, p []byte) ([]byte, error) {
	if !f.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 || len(p)-1 < int(p[0]) {
		return nil, connError{codeProtocol, "the padding is larger than the frame"}
	}
	return p[1 : len(p)-int(p[0])], nil
}

// stop lets the requests that run finish.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain()
}

// drain lets the requests that run finish, and accepts no more; mu is held.
func (c *conn) drain() {
	if c.stopping {
		return
	}
	c.goAway(codeNone) // and ends the connection when that is written
}

// goAway tells the client which of its requests are served; mu is held.
func (c *conn) goAway(code errCode) {
	if !c.stopping {
		c.stopping, c.served = true, c.newest
	}
	c.out.queue(appendGoAway(nil, c.served, code))
}

// fail tells the client why the connection ends, and ends all requests.
func (c *conn) fail(code errCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.goAway(code)
	for _, s := range c.streams {
		s.end(errConnFailed)
	}
}

var errConnFailed = errors.New("HTTP/2: the connection has failed")

const (
	// closingTime is how long a client may take to receive what was sent last, before the connection is closed: what it still sends would
	// make it lose that.
	closingTime = 5 * time.Second
	// discardTime is how long that is when the client has broken the protocol.
	discardTime = time.Second
)

// endWhenDone ends a connection that is not to be used any more; mu is held.
func (c *conn) endWhenDone() {
	if c.stopping && !c.ending && len(c.streams) == 0 && !c.out.writing {
		c.ending = true
		c.out.close(net.ErrClosed)
		go c.closeWrite(closingTime - time.Since(c.idleSince))
	}
}

// closeWrite tells the client that nothing more comes, and waits for it to close the connection.
func (c *conn) closeWrite(most time.Duration) {
	_ = transfer.CloseWrite(c.raw)
	time.AfterFunc(most, func() { c.abandon(net.ErrClosed) })
}

// discard reads what the client still sends.
func (c *conn) discard() {
	timer := time.AfterFunc(discardTime, func() { c.abandon(net.ErrClosed) })
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, c.raw)
}

// abandon ends everything. Bodies never end with the error of the connection, which may be io.EOF.
func (c *conn) abandon(err error) {
	c.mu.Lock()
	if c.idleTimer != nil {
		c.idleTimer.Stop()
	}
	c.out.close(err)
	for _, s := range c.streams {
		s.end(errDisconnected)
	}
	c.mu.Unlock()
	c.uploads.Release()
	_ = c.raw.Close()
}

// becomeIdle is called with mu held when there are no requests any more.
func (c *conn) becomeIdle() {
	c.monitor.Serving(false)
	c.limitIdle()
	c.endWhenDone()
}

// limitIdle is called with mu held.
func (c *conn) limitIdle() {
	c.idleSince = time.Now()
	if c.idleTimer == nil && c.server.KeepAlive > 0 && c.out.err == nil {
		c.idleTimer = time.AfterFunc(c.server.KeepAlive, c.closeIdle)
	}
}

// closeIdle is called by a timer, which is not set again for each request.
func (c *conn) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := time.Until(c.idleSince.Add(c.server.KeepAlive))
	switch {
	case len(c.streams) > 0:
		c.idleTimer = nil // the next one starts when they have ended
	case left > 0:
		c.idleTimer.Reset(left)
	default:
		c.drain()
	}
}
