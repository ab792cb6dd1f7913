package testbed

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// UploadOptions are what may be special about an upload.
type UploadOptions struct {
	Size    int64
	Unknown bool   // its length is not announced
	Fault   string // a fault of Immich's
	Key     string // instead of the client's
}

// Upload sends a file, and holds it in its middle, where it continues slowly.
func (c *Client) Upload(t testing.TB, options UploadOptions) *Transfer {
	t.Helper()
	transfer, ctx := newTransfer(t, c.Protocol, "upload", options.Size)
	content := func() io.Reader {
		return io.MultiReader(strings.NewReader(transfer.Name), fakeimmich.Content(options.Size))
	}
	transfer.Checksum = harness.Checksum(t, content())
	head := harness.FormHead(transfer.Name)
	length := int64(len(head)+len(transfer.Name)+len(harness.FormTail)) + options.Size
	body := &heldBody{
		transfer: transfer, ctx: ctx, closed: make(chan struct{}), total: length, source: io.MultiReader(strings.NewReader(head), content(), strings.NewReader(harness.FormTail)),
	}

	r, err := c.request(ctx, http.MethodPost, "/api/assets")
	if err != nil {
		t.Fatal(err)
	}
	r.Body, r.ContentLength = body, length
	if options.Unknown {
		r.ContentLength = -1
	}
	r.Header.Set("Content-Type", harness.FormType)
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
		if b.total-t.moved.Load() > 2*heldChunk {
			p = p[:min(len(p), heldChunk)]
			break
		}
		if b.isClosed() {
			return 0, errAborted
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
