package harness

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// A form with a file, as Immich's clients upload it.
const (
	FormType = "multipart/form-data; boundary=x"
	FormTail = "\r\n--x--\r\n"
)

// FormHead is what precedes the content of the file.
func FormHead(filename string) string {
	return fmt.Sprintf("--x\r\nContent-Disposition: form-data; name=\"assetData\"; filename=%q\r\n\r\n", filename)
}

// Form is a form with a file of the size.
func Form(filename string, size int64) io.Reader {
	return io.MultiReader(strings.NewReader(FormHead(filename)), fakeimmich.Content(size), strings.NewReader(FormTail))
}

// Upload sends a form, and requires that it is accepted. It may be called from any goroutine.
func Upload(t testing.TB, client *http.Client, url string, form io.Reader) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, form)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", FormType)
	response, err := client.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode >= http.StatusMultipleChoices {
		t.Errorf("%s, %v", response.Status, err)
	}
}

// HeldUpload is an upload whose second half is held back.
type HeldUpload struct {
	immich *fakeimmich.Server
	name   string
	rest   io.Reader
	body   *io.PipeWriter
	sent   chan struct{} // closed when the response has arrived
}

const heldUploadSize = 1 << 20

// HoldUpload begins to upload a file, whose name has to be unique, and returns when it has begun to reach Immich.
func HoldUpload(t testing.TB, client *http.Client, url string, immich *fakeimmich.Server, name string) *HeldUpload {
	t.Helper()
	reader, writer := io.Pipe()
	u := &HeldUpload{immich: immich, name: name, rest: Form(name, heldUploadSize), body: writer, sent: make(chan struct{})}
	go func() {
		defer close(u.sent)
		Upload(t, client, url, reader)
		_ = reader.Close()
	}()
	_, _ = io.CopyN(writer, u.rest, heldUploadSize/2)
	Await(t, "the upload to be in progress", func() bool { return u.arrival().Bytes > 0 })
	return u
}

// Finish sends the rest, and requires that the upload is accepted and that Immich has all of it.
func (u *HeldUpload) Finish(t testing.TB) {
	t.Helper()
	_, _ = io.Copy(u.body, u.rest)
	_ = u.body.Close()
	<-u.sent
	if arrival := u.arrival(); !arrival.Complete || arrival.Size != heldUploadSize {
		t.Errorf("Immich has %+v", arrival)
	}
}

func (u *HeldUpload) arrival() fakeimmich.Upload {
	for _, upload := range u.immich.Uploads() {
		if upload.Filename == u.name {
			return upload
		}
	}
	return fakeimmich.Upload{}
}

// Checksum is how Immich identifies a file: its SHA-1, in hex.
func Checksum(t testing.TB, content io.Reader) string {
	t.Helper()
	sum := sha1.New()
	if _, err := io.Copy(sum, content); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
