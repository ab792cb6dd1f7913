package harness

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	formHead = "--x\r\nContent-Disposition: form-data; name=\"assetData\"; filename=%q\r\n\r\n"
	formTail = "\r\n--x--\r\n"

	// While a transfer is held, it goes on slowly, so that nobody takes it for one that stands still.
	heldPiece = 2 << 10
	heldPause = 10 * time.Millisecond
)

var errGivenUp = errors.New("given up by the test")

// Outcome is how a transfer ended for the client.
type Outcome struct {
	Status int   // 0 without an answer
	Err    error // what the client sees of a transfer that is not whole
	Took   time.Duration
	Body   string // the beginning of the answer
}

func (o Outcome) String() string {
	return fmt.Sprintf("status %d, %v, after %s", o.Status, o.Err, o.Took.Round(time.Millisecond))
}

// Succeeded reports whether the client believes that all went well.
func (o Outcome) Succeeded() bool {
	return o.Err == nil && o.Status >= http.StatusOK && o.Status < http.StatusMultipleChoices
}

// Transfer is one that runs, in either direction.
type Transfer struct {
	Protocol string
	Name     string
	Checksum string // of what an upload sends
	Size     int64

	start   time.Time
	moved   atomic.Int64 // bytes so far
	release chan struct{}
	once    sync.Once
	cancel  context.CancelCauseFunc
	done    chan struct{}
	outcome Outcome // once done is closed
}

var transfers atomic.Int64

// newTransfer begins one that is held in its middle until Release.
func newTransfer(t testing.TB, protocol, kind string, size int64) (*Transfer, context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	transfer := &Transfer{
		Protocol: protocol, Size: size, Name: fmt.Sprintf("%s-%s-%d", kind, strings.ReplaceAll(protocol, "/", ""), transfers.Add(1)),
		start: time.Now(), release: make(chan struct{}), cancel: cancel, done: make(chan struct{}),
	}
	t.Cleanup(func() { cancel(errGivenUp) })
	return transfer, ctx
}

// Release lets a transfer go on at full speed.
func (t *Transfer) Release() { t.once.Do(func() { close(t.release) }) }

// Abort has the client leave.
func (t *Transfer) Abort() { t.cancel(errGivenUp) }

// UnderWay reports whether some has been transferred, or the transfer has ended.
func (t *Transfer) UnderWay() bool {
	return t.moved.Load() > 0 || t.Ended()
}

// Ended reports whether the client knows the outcome.
func (t *Transfer) Ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// Wait releases the transfer, and returns its outcome.
func (t *Transfer) Wait(tb testing.TB, within time.Duration) Outcome {
	tb.Helper()
	t.Release()
	return t.Outcome(tb, within)
}

// Outcome waits for the end of a transfer, be it held or not.
func (t *Transfer) Outcome(tb testing.TB, within time.Duration) Outcome {
	tb.Helper()
	select {
	case <-t.done:
	case <-time.After(within):
		tb.Errorf("%s: the client hears nothing for %s", t.Name, within)
		return t.abandoned(tb)
	}
	return t.outcome
}

// abandoned has the client leave, which it can't always: Go's may wait for a connection that takes nothing.
func (t *Transfer) abandoned(tb testing.TB) Outcome {
	tb.Helper()
	t.Abort()
	select {
	case <-t.done:
		return t.outcome
	case <-time.After(patience):
		return Outcome{Err: errGivenUp}
	}
}

func (t *Transfer) end(o Outcome) {
	o.Took = time.Since(t.start)
	t.outcome = o
	close(t.done)
}

// wait holds a transfer for a moment, and reports whether it is still held.
func (t *Transfer) wait(ctx context.Context) bool {
	select {
	case <-t.release:
		return false
	case <-ctx.Done():
		return false
	case <-time.After(heldPause):
		return true
	}
}

// UploadOptions are what may be special about an upload.
type UploadOptions struct {
	Size    int64
	Unknown bool   // its length is not announced
	Fault   string // that Immich shall have
	Key     string // another than the client's
}

// Upload sends a file, and holds it in its middle, where it goes on slowly.
func (c *Client) Upload(t testing.TB, options UploadOptions) *Transfer {
	t.Helper()
	transfer, ctx := newTransfer(t, c.Protocol, "upload", options.Size)
	content := func() io.Reader {
		return io.MultiReader(strings.NewReader(transfer.Name), fakeimmich.Content(options.Size))
	}
	transfer.Checksum = checksum(t, content())
	head := fmt.Sprintf(formHead, transfer.Name)
	length := int64(len(head)+len(transfer.Name)+len(formTail)) + options.Size
	body := &heldBody{
		transfer: transfer, ctx: ctx, closed: make(chan struct{}), total: length, source: io.MultiReader(strings.NewReader(head), content(), strings.NewReader(formTail)),
	}

	r, err := c.request(ctx, http.MethodPost, "/api/assets")
	if err != nil {
		t.Fatal(err)
	}
	r.Body, r.ContentLength = body, length
	if options.Unknown {
		r.ContentLength = -1
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	r.Header.Set(uploadHeader, transfer.Name)
	if options.Fault != "" {
		r.Header.Set(faultHeader, options.Fault)
	}
	if options.Key != "" {
		r.Header.Set("X-Access-Key", options.Key)
	}
	go func() { transfer.end(c.answer(r)) }()
	return transfer
}

func checksum(t testing.TB, content io.Reader) string {
	t.Helper()
	sum := sha1.New()
	if _, err := io.Copy(sum, content); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
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
		err = fmt.Errorf("the answer came by %s", response.Proto)
	}
	return Outcome{Status: response.StatusCode, Err: err, Body: string(body)}
}

// heldBody is the body of an upload.
type heldBody struct {
	transfer *Transfer
	ctx      context.Context // of the transfer
	source   io.Reader
	total    int64
	closed   chan struct{}
	once     sync.Once
}

func (b *heldBody) Read(p []byte) (int, error) {
	t := b.transfer
	for t.moved.Load() >= b.total/2 && t.wait(b.ctx) {
		if b.total-t.moved.Load() > 2*heldPiece {
			p = p[:min(len(p), heldPiece)]
			break
		}
		if b.isClosed() {
			return 0, errGivenUp
		}
	}
	if half := b.total/2 - t.moved.Load(); half > 0 && int64(len(p)) > half {
		p = p[:half]
	}
	n, err := b.source.Read(p)
	t.moved.Add(int64(n))
	return n, err
}

func (b *heldBody) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

func (b *heldBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// DownloadOptions are what may be special about a download.
type DownloadOptions struct {
	Size    int64
	Unknown bool // its length is not announced
	Fault   string
}

// Download receives a file, and holds it after its first bytes, where it goes on slowly.
func (c *Client) Download(t testing.TB, options DownloadOptions) *Transfer {
	t.Helper()
	transfer, ctx := newTransfer(t, c.Protocol, "download", options.Size)
	method, path := http.MethodGet, fmt.Sprintf("/api/assets/1/original?size=%d", options.Size)
	if options.Unknown {
		method, path = http.MethodPost, fmt.Sprintf("/api/download/archive?size=%d", options.Size)
	}
	r, err := c.request(ctx, method, path)
	if err != nil {
		t.Fatal(err)
	}
	if options.Fault != "" {
		r.Header.Set(faultHeader, options.Fault)
	}
	go func() { transfer.end(c.receive(ctx, transfer, r)) }()
	return transfer
}

func (c *Client) receive(ctx context.Context, transfer *Transfer, r *http.Request) Outcome {
	response, err := c.http.Do(r)
	if err != nil {
		return Outcome{Err: err}
	}
	defer func() { _ = response.Body.Close() }()
	sum := sha1.New()
	buffer := make([]byte, 32<<10)
	for {
		piece := buffer
		if transfer.moved.Load() > 0 && transfer.wait(ctx) {
			piece = buffer[:heldPiece]
		}
		n, err := response.Body.Read(piece)
		transfer.moved.Add(int64(n))
		_, _ = sum.Write(piece[:n])
		if err == io.EOF {
			return Outcome{Status: response.StatusCode, Err: transfer.check(response, sum)}
		}
		if err != nil {
			return Outcome{Status: response.StatusCode, Err: err}
		}
	}
}

// ErrLooksWhole is the error of a download that is not whole, although nothing told the client so.
var ErrLooksWhole = errors.New("the download looks whole to the client, and is not")

// check compares what the client takes for whole.
func (t *Transfer) check(response *http.Response, sum hash.Hash) error {
	if response.StatusCode != http.StatusOK {
		return nil
	}
	want := sha1.New()
	_, _ = io.Copy(want, fakeimmich.Content(t.Size))
	if t.moved.Load() != t.Size || !bytes.Equal(want.Sum(nil), sum.Sum(nil)) {
		return fmt.Errorf("%w: %d of %d bytes", ErrLooksWhole, t.moved.Load(), t.Size)
	}
	return nil
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

// socketInterval is between two messages of a WebSocket, so that it is never silent by itself.
const socketInterval = 300 * time.Millisecond

// Socket is a WebSocket. It runs over HTTP/1.1.
type Socket struct {
	conn  *websocket.Conn
	count atomic.Int64 // of messages that came back
	done  chan struct{}
	err   error // once done is closed
}

// Socket opens a WebSocket, on which a message goes back and forth again and again; the client has to speak HTTP/1.1.
func (c *Client) Socket(t testing.TB) *Socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, c.base+"/api/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{
		HTTPClient: c.http, Host: c.host, HTTPHeader: http.Header{"X-Access-Key": {c.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &Socket{conn: conn, done: make(chan struct{})}
	t.Cleanup(s.Close)
	go s.run()
	return s
}

func (s *Socket) run() {
	defer close(s.done)
	for s.err == nil {
		s.err = s.echo()
		s.count.Add(1)
		time.Sleep(socketInterval)
	}
}

func (s *Socket) echo() error {
	message := fmt.Appendf(nil, "message %d", s.count.Load())
	if err := s.conn.Write(context.Background(), websocket.MessageText, message); err != nil {
		return err
	}
	_, echo, err := s.conn.Read(context.Background())
	if err == nil && !bytes.Equal(echo, message) {
		err = fmt.Errorf("%q came back instead of %q", echo, message)
	}
	return err
}

// Echo waits until a message has come back that left after now.
func (s *Socket) Echo(within time.Duration) error {
	const next = 2 // the one after that which may be on its way
	want := s.count.Load() + next
	if Within(within, func() bool { return s.Ended(0) || s.count.Load() >= want }) && !s.Ended(0) {
		return nil
	}
	if s.Ended(0) {
		return s.err
	}
	return fmt.Errorf("nothing comes back for %s", within)
}

// Ended waits for the end of the WebSocket.
func (s *Socket) Ended(within time.Duration) bool {
	select {
	case <-s.done:
		return true
	default:
	}
	select {
	case <-s.done:
		return true
	case <-time.After(within):
		return false
	}
}

// Close ends the WebSocket.
func (s *Socket) Close() { _ = s.conn.CloseNow() }
