package testbed

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"testing"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// DownloadOptions are what may be special about a download.
type DownloadOptions struct {
	Size    int64
	Unknown bool // its length is not announced
	Fault   string
}

// Download receives a file, and holds it after its first bytes, where it continues slowly.
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
		chunk := buffer
		if transfer.moved.Load() > 0 && transfer.wait(ctx) {
			chunk = buffer[:heldChunk]
		}
		n, err := response.Body.Read(chunk)
		transfer.moved.Add(int64(n))
		_, _ = sum.Write(chunk[:n])
		if err == io.EOF {
			return Outcome{Status: response.StatusCode, Err: transfer.check(response, sum)}
		}
		if err != nil {
			return Outcome{Status: response.StatusCode, Err: err}
		}
	}
}

// ErrUndetected is the error of a download that is incomplete, although the client got no error.
var ErrUndetected = errors.New("the download looks complete to the client, and is not")

// check compares a download that the client considers complete.
func (t *Transfer) check(response *http.Response, sum hash.Hash) error {
	if response.StatusCode != http.StatusOK {
		return nil
	}
	want := sha1.New()
	_, _ = io.Copy(want, fakeimmich.Content(t.Size))
	if t.moved.Load() != t.Size || !bytes.Equal(want.Sum(nil), sum.Sum(nil)) {
		return fmt.Errorf("%w: %d of %d bytes", ErrUndetected, t.moved.Load(), t.Size)
	}
	return nil
}
