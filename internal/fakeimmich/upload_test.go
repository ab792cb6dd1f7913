package fakeimmich

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"testing"
	"time"
)

const (
	multipartType = "multipart/form-data; boundary=b"
	partHead      = "--b\r\nContent-Disposition: form-data; name=\"assetData\"; filename=\"a.jpg\"\r\n\r\n"
	formEnd       = "\r\n--b--\r\n"
)

func form(t *testing.T, field, content string) (http.Header, *bytes.Buffer) {
	t.Helper()

	var body bytes.Buffer
	writer := multipart.NewWriter(&body)
	_ = writer.WriteField("deviceAssetId", "1")
	file, err := writer.CreateFormFile(field, "a.jpg")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(file, content)
	sidecar, _ := writer.CreateFormFile("sidecarData", "a.xmp")
	_, _ = io.WriteString(sidecar, "<xmp/>")
	_ = writer.Close()

	return http.Header{"Content-Type": {writer.FormDataContentType()}}, &body
}

// uploaded posts an asset, and returns the response.
func uploaded(t *testing.T, url, field, content string) (status int, answer map[string]string) {
	t.Helper()

	header, body := form(t, field, content)
	response, text := do(t, http.MethodPost, url, header, body)
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("answered %s: %s", response.Status, text)
	}

	return response.StatusCode, answer
}

func checksumOf(content string) [sha1.Size]byte {
	return sha1.Sum([]byte(content))
}

func isOver(u Upload) bool { return !u.End.IsZero() }

func TestUploadIsCreatedOnce(t *testing.T) {
	t.Parallel()

	s, url := start(t)

	status, first := uploaded(t, url+"/api/assets", "assetData", "photo")
	if status != http.StatusCreated || first["status"] != "created" {
		t.Errorf("the response to the new one is %d, %v", status, first)
	}

	status, second := uploaded(t, url+"/api/assets", "assetData", "photo")
	if status != http.StatusOK || second["status"] != "duplicate" || second["id"] != first["id"] {
		t.Errorf("the response to the duplicate is %d, %v", status, second)
	}

	_, other := uploaded(t, url+"/api/assets", "assetData", "another")
	if other["status"] != "created" || other["id"] == first["id"] {
		t.Errorf("the response to another one is %v", other)
	}

	sum := checksumOf("photo")
	got := s.Uploads()[0]
	if got.Path != "/api/assets" || got.Filename != "a.jpg" || got.Checksum != hex.EncodeToString(sum[:]) || got.Size != 5 {
		t.Errorf("recorded %+v", got)
	}
	if !got.Complete || got.Early || got.Err != "" || got.FirstByte.IsZero() || got.End.Before(got.FirstByte) {
		t.Errorf("recorded %+v", got)
	}
	if _, body := form(t, "assetData", "photo"); got.Bytes != int64(body.Len()) {
		t.Errorf("recorded %d bytes of %d", got.Bytes, body.Len())
	}
}

func TestOtherUploadsAreAlwaysCreated(t *testing.T) {
	t.Parallel()

	for _, path := range []string{"/api/users/profile-image", "/api/admin/database-backups/upload"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()

			s, url := start(t)

			for range 2 {
				if status, _ := uploaded(t, url+path, "file", "content"); status != http.StatusCreated {
					t.Errorf("answered %d", status)
				}
			}

			if got := s.Uploads(); len(got) != 2 || got[1].Path != path || !got[1].Complete {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestLargeUploadKeepsItsChecksum(t *testing.T) {
	t.Parallel()

	s, url := start(t)
	const size = 3_000_001

	reader, writer := io.Pipe()
	body := multipart.NewWriter(writer)
	go func() {
		file, _ := body.CreateFormFile("assetData", "large.mov")
		_, _ = io.Copy(file, Content(size))
		_ = writer.CloseWithError(body.Close())
	}()

	do(t, http.MethodPost, url+"/api/assets", http.Header{"Content-Type": {body.FormDataContentType()}}, reader)

	want := sha1.New()
	_, _ = io.Copy(want, Content(size))
	if got := s.Uploads()[0]; got.Size != size || got.Checksum != hex.EncodeToString(want.Sum(nil)) {
		t.Errorf("recorded %+v", got)
	}
}

func TestRefusesWhatHoldsNoAsset(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct{ contentType, body string }{
		"not multipart":       {"application/json", "{}"},
		"no body":             {multipartType, ""},
		"no closing boundary": {multipartType, partHead + "photo\r\n--b"},
		"cut inside the part": {multipartType, partHead + "photo"},
		"other field":         {multipartType, "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1" + formEnd},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s, url := start(t)
			header := http.Header{"Content-Type": {test.contentType}}
			response, text := do(t, http.MethodPost, url+"/api/assets", header, bytes.NewBufferString(test.body))

			var answer struct {
				Message, Error string
				StatusCode     int
			}
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatalf("answered %s: %s", response.Status, text)
			}
			if response.StatusCode != 400 || answer.StatusCode != 400 || answer.Error != "Bad Request" || answer.Message == "" {
				t.Errorf("answered %s: %s", response.Status, text)
			}
			if got := s.Uploads()[0]; got.Complete || got.Err == "" {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestRunningUploadIsVisible(t *testing.T) {
	t.Parallel()

	s, url := start(t)

	conn := dial(t, url)
	conn.send(t, "POST /api/assets HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000000\r\n\r\n", multipartType)
	if got := await(t, s, func(Upload) bool { return true }); !got.FirstByte.IsZero() {
		t.Errorf("a byte arrived before one was sent: %+v", got)
	}

	conn.send(t, "-")
	first := await(t, s, func(u Upload) bool { return u.Bytes == 1 })
	if first.FirstByte.IsZero() || isOver(first) {
		t.Errorf("recorded %+v", first)
	}

	conn.send(t, "%s", partHead[1:])
	later := await(t, s, func(u Upload) bool { return u.Bytes == int64(len(partHead)) && u.Filename == "a.jpg" })
	if !later.FirstByte.Equal(first.FirstByte) {
		t.Errorf("the first byte moved from %s to %s", first.FirstByte, later.FirstByte)
	}
}

func TestAbortedUploadIsNotCreated(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct{ framing, body string }{
		"chunked, inside the asset":           {"Transfer-Encoding: chunked", chunk(partHead + "photo")},
		"chunked, after the closing boundary": {"Transfer-Encoding: chunked", chunk(partHead + "photo" + formEnd)},
		"before the declared end":             {"Content-Length: 1000", partHead + "photo" + formEnd},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s, url := start(t)

			conn := dial(t, url)
			conn.send(t, "POST /api/assets HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s\r\n\r\n%s", multipartType, test.framing, test.body)
			await(t, s, func(u Upload) bool { return u.Filename == "a.jpg" })
			_ = conn.Close()

			if got := await(t, s, isOver); got.Complete || got.Err == "" {
				t.Errorf("recorded %+v", got)
			}
			if _, answer := uploaded(t, url+"/api/assets", "assetData", "photo"); answer["status"] != "created" {
				t.Errorf("answered %v", answer)
			}
		})
	}
}

func chunk(body string) string {
	return fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
}

func TestKnownChecksumIsAnsweredBeforeTheBody(t *testing.T) {
	t.Parallel()

	sum := checksumOf("photo")

	for name, test := range map[string]struct {
		checksum, header string
		before, body     string
		interim          bool
	}{
		"hex":             {checksum: hex.EncodeToString(sum[:]), header: "Content-Length: 10\r\n", body: "0123456789"},
		"base64":          {checksum: base64.StdEncoding.EncodeToString(sum[:]), header: "Content-Length: 10\r\n", body: "0123456789"},
		"chunked":         {checksum: hex.EncodeToString(sum[:]), header: "Transfer-Encoding: chunked\r\n", body: chunk("0123456789") + "0\r\n\r\n"},
		"expects":         {checksum: hex.EncodeToString(sum[:]), header: "Content-Length: 10\r\nExpect: 100-continue\r\n", body: "0123456789", interim: true},
		"amid the upload": {checksum: hex.EncodeToString(sum[:]), header: "Content-Length: 10\r\n", before: "01234", body: "56789"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s, url := start(t)
			_, created := uploaded(t, url+"/api/assets", "assetData", "photo")

			conn := dial(t, url)
			conn.send(t, "POST /api/assets HTTP/1.1\r\nHost: x\r\nX-Immich-Checksum: %s\r\n%s\r\n%s", test.checksum, test.header, test.before)

			if test.interim {
				if response, _ := conn.receive(t); response.StatusCode != http.StatusContinue || len(response.Header) != 0 {
					t.Fatalf("answered %s with %v", response.Status, response.Header)
				}
			}

			response, body := conn.receive(t)
			if want := fmt.Sprintf(`{"id":%q,"status":"duplicate"}`, created["id"]); response.StatusCode != 200 || body != want {
				t.Errorf("answered %s: %s, want %s", response.Status, body, want)
			}
			if response.Close {
				t.Error("the response closes the connection")
			}
			if got := s.Uploads()[1]; !got.Early || isOver(got) || got.Checksum != hex.EncodeToString(sum[:]) {
				t.Errorf("recorded %+v", got)
			}

			conn.send(t, "%s", test.body)
			conn.send(t, "GET /api/server/ping HTTP/1.1\r\nHost: x\r\n\r\n")
			if response, body := conn.receive(t); body != `{"res":"pong"}` {
				t.Errorf("the connection continues with %s: %s", response.Status, body)
			}
			if got := s.Uploads()[1]; !got.Complete || got.Bytes != 10 {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestUnknownChecksumWaitsForTheBody(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	for _, checksum := range []string{"", "zz", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "!!!!!!!!!!!!!!!!!!!!!!!!!!!!"} {
		header, body := form(t, "assetData", "photo with "+checksum)
		header.Set("X-Immich-Checksum", checksum)

		if response, text := do(t, http.MethodPost, url+"/api/assets", header, body); response.StatusCode != http.StatusCreated {
			t.Errorf("with %q answered %s: %s", checksum, response.Status, text)
		}
	}
}

func TestStalledBodyTimesOut(t *testing.T) {
	t.Parallel()

	s, url := start(t)
	s.stall = 10 * time.Millisecond
	uploaded(t, url+"/api/assets", "assetData", "photo")
	sum := checksumOf("photo")

	conn := dial(t, url)
	conn.send(t, "POST /api/assets HTTP/1.1\r\nHost: x\r\nX-Immich-Checksum: %x\r\nContent-Length: 10\r\n\r\n01234", sum)
	conn.receive(t)

	if _, err := conn.answers.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection stayed open: %v", err)
	}
	if got := s.Uploads()[1]; got.Complete || !got.Early || got.Err == "" {
		t.Errorf("recorded %+v", got)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if _, err := New().Await(ctx, func(Upload) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("returned %v", err)
	}
}
