package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/immichaccess/immichaccess/internal/transfer"
)

const (
	// maxIdleConns is how many idle connections to one Immich are kept.
	maxIdleConns = 256
	// maxResponseHead is http.Transport's.
	maxResponseHead = 10 << 20
	// responseBuffer holds most thumbnails, with their head, so that one system call reads them.
	responseBuffer = 16 << 10
)

var errHeadTooLarge = errors.New("the head of the response is too large")

// persistentConn is a connection to Immich that carries one request after another.
type persistentConn struct {
	*upstreamConn

	pool   *connPool
	reader *bufio.Reader
	head   []byte // of the request; kept to reuse its memory
	whole  wholeResponse

	socket   syscall.RawConn
	try      func(socket uintptr) bool // trySend
	sent     int                       // bytes of head
	waiting  bool                      // for a response
	used     bool                      // for an earlier request
	unusable bool
	answerBy transfer.Deadline

	received  bool // some of the response
	inHead    bool
	left      int64         // bytes that the head may still have
	hook      transfer.Hook // on the context of the request
	idleSince time.Time
}

// begin makes the connection close when the client disconnects.
func (c *persistentConn) begin(ctx context.Context) {
	c.received = false
	c.hook.Set(ctx)
}

func (c *persistentConn) close() {
	_ = c.Close()
}

// abandon closes the connection in the middle of a response.
func (c *persistentConn) abandon() {
	c.hook.Remove()
	c.close()
}

// Read fails when the head of a response is too large.
func (c *persistentConn) Read(p []byte) (int, error) {
	if c.inHead {
		if c.left <= 0 {
			return 0, errHeadTooLarge
		}
		p = p[:min(int64(len(p)), c.left)]
	}
	n, err := c.upstreamConn.Read(p)
	c.left -= int64(n)
	c.received = c.received || n > 0
	return n, err
}

// limitAnswer sets how long Immich may take to begin its response.
func (c *persistentConn) limitAnswer(most time.Duration) error {
	at, changed := c.answerBy.Extend(most)
	if !changed {
		return nil
	}
	return c.SetReadDeadline(at)
}

func (c *persistentConn) unlimitAnswer() {
	c.answerBy.Clear()
	_ = c.SetReadDeadline(time.Time{})
}

// limitHead begins a head. The limit is for each, those of interim responses included: they are passed on.
func (c *persistentConn) limitHead() {
	c.inHead, c.left = true, maxResponseHead
}

func (c *persistentConn) endHead() {
	c.inHead = false
}

// answered reports whether any of the response has arrived.
func (c *persistentConn) answered() bool {
	return c.received
}

// release returns the connection to the pool. It is closed if the client has disconnected, or if Immich has sent more than the
// response: the rest would be taken for the next response.
func (c *persistentConn) release(reusable bool) {
	if !c.hook.Remove() || !reusable || c.reader.Buffered() > 0 {
		c.close()
		return
	}
	c.pool.put(c)
}

var errUnusable = errors.New("the connection has been closed, or has received something unrequested")

// send sends the head of a request, and waits until there is something to read. It returns errUnusable if Immich has closed the
// connection, or sent something unrequested. That check avoids requests that would fail; done in one call with the rest, it costs no
// more than an attempt to read.
func (c *persistentConn) send() error {
	c.sent, c.unusable, c.waiting = 0, false, false
	_ = c.socket.Read(c.try) // Read returns the error, too
	switch {
	case c.unusable:
		return errUnusable
	case c.sent == len(c.head):
		return nil
	}
	_, err := c.Write(c.head[c.sent:])
	return err
}

// trySend reports whether there is nothing to wait for.
func (c *persistentConn) trySend(socket uintptr) bool {
	if c.waiting {
		return true
	}
	var next [1]byte
	_, _, err := syscall.Recvfrom(int(socket), next[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	if c.unusable = c.used && err != syscall.EAGAIN; c.unusable {
		return true
	}
	n, _ := syscall.Write(int(socket), c.head) // Write returns the error, too
	c.sent = max(n, 0)
	c.waiting = c.sent == len(c.head)
	return !c.waiting
}

// upstreamBody is the body of a response. At its end, the connection is released.
type upstreamBody struct {
	io.ReadCloser

	conn     *persistentConn
	reusable bool
	complete bool // all of it has come
	once     sync.Once
}

func (b *upstreamBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(err == io.EOF)
	}
	return n, err
}

// Close may be called while Read waits, and ends it. Like http.Transport, it does not read the rest.
func (b *upstreamBody) Close() error {
	b.end(false)
	return nil
}

func (b *upstreamBody) end(whole bool) {
	b.once.Do(func() {
		if whole {
			b.conn.release(b.reusable)
			return
		}
		b.conn.abandon()
	})
}

// mayWait reports whether the body's first piece may take time to arrive. It is false if some of a body of known length has
// arrived, or all of a chunked one: half a chunk can't be read.
func (b *upstreamBody) mayWait(length int64) bool {
	return !b.complete && (length < 0 || b.conn.reader.Buffered() == 0)
}

// hasBody reports whether all of the response's body has arrived with its head.
func (c *persistentConn) hasBody(response *http.Response) bool {
	buffered, _ := c.reader.Peek(c.reader.Buffered())
	if response.ContentLength < 0 {
		return len(response.TransferEncoding) > 0 && hasLastChunk(buffered)
	}
	return int64(len(buffered)) >= response.ContentLength
}

// hasLastChunk is true of chunks that are complete, without trailers (RFC 9112, section 7.1).
func hasLastChunk(chunks []byte) bool {
	for {
		line, rest, found := bytes.Cut(chunks, []byte("\r\n"))
		size, err := strconv.ParseInt(string(line), 16, 32)
		switch {
		case !found || err != nil || size < 0: // or it has extensions, which are not used in practice
			return false
		case size == 0:
			return bytes.HasPrefix(rest, []byte("\r\n"))
		case size > int64(len(rest)):
			return false
		}
		if chunks, found = bytes.CutPrefix(rest[size:], []byte("\r\n")); !found {
			return false
		}
	}
}

// connPool keeps idle connections to one Immich for the next request, for upstreamIdle.
type connPool struct {
	address string
	connect dialFunc

	mu     sync.Mutex
	idle   []*persistentConn // the last is the one that was used last
	timer  *time.Timer
	closed bool
}

func newConnPool(target *url.URL, connect dialFunc) *connPool {
	address := target.Host
	if target.Port() == "" {
		address = net.JoinHostPort(target.Hostname(), "80")
	}
	return &connPool{address: address, connect: connect}
}

// hasTLS is true if Immich is reached over HTTPS, which is left to http.Transport.
func (p *pool) hasTLS() bool {
	return slices.ContainsFunc(p.members, func(u *upstream) bool { return u.url.Scheme != "http" })
}

func (p *connPool) dial(ctx context.Context) (*persistentConn, error) {
	conn, err := p.connect(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	c := &persistentConn{upstreamConn: conn.(*upstreamConn), pool: p}
	c.hook.Call, c.try = c.close, c.trySend
	c.reader = bufio.NewReaderSize(c, responseBuffer)
	if c.socket, err = c.Conn.(syscall.Conn).SyscallConn(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// get returns nil if there is none.
func (p *connPool) get() *persistentConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	if time.Since(c.idleSince) >= upstreamIdle { // and so are all others
		c.close()
		return nil
	}
	return c
}

func (p *connPool) put(c *persistentConn) {
	c.used, c.idleSince = true, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdleConns {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(upstreamIdle, p.closeOld)
	}
}

// closeOld runs while there are idle connections.
func (p *connPool) closeOld() {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := 0
	for old < len(p.idle) && time.Since(p.idle[old].idleSince) >= upstreamIdle {
		p.idle[old].close()
		old++
	}
	p.idle = append(p.idle[:0], p.idle[old:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
	p.timer = nil
	if len(p.idle) > 0 && !p.closed {
		p.timer = time.AfterFunc(upstreamIdle-time.Since(p.idle[0].idleSince), p.closeOld)
	}
}

func (p *connPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}
