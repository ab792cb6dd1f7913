package doortest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/standin"
)

const (
	smallLimit = 64 << 10
	large      = 1 << 20 // bytes of an upload where there is no limit
)

var (
	small     = Options{"keys": []string{"phone:" + Key}, "maxUploadSize": "64k"}
	unlimited = Options{"keys": []string{"phone:" + Key}, "maxUploadSize": "0"}
)

func uploads(t *testing.T, proxy Proxy) {
	for name, test := range map[string]func(*testing.T, Door){
		"known length":                            knownLength,
		"known length over the limit":             knownLengthOver,
		"unknown length, exactly the limit":       unknownLength,
		"unknown length over the limit":           unknownLengthOver,
		"first byte arrives before the last left": firstByte,
		"Content-Length that is never reached":    shortBody,
		"refused while the client sends":          refusedWhileSending,
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, door := range protocols(proxy.Open(t, small)) {
				t.Run(protocol, func(t *testing.T) { test(t, door) })
			}
		})
	}
	for name, test := range map[string]func(*testing.T, Door){
		"100 Continue":                expectContinue,
		"no 100 Continue without key": expectDenied,
	} {
		t.Run(name, func(t *testing.T) { test(t, protocols(proxy.Open(t, small))["HTTP1"]) })
	}
	for name, test := range map[string]func(*testing.T, Door){
		"no limit":     noLimit,
		"early answer": earlyAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, door := range protocols(proxy.Open(t, unlimited)) {
				t.Run(protocol, func(t *testing.T) { test(t, door) })
			}
		})
	}
}

func noLimit(t *testing.T, door Door) {
	body, name, contentType := form(t, large)
	response, answer := do(t, door.client(t, "127.0.0.1"), door.upload(t, contentType, bytes.NewReader(body), -1))
	wantCreated(t, response, answer)
	wantComplete(t, door, name)
}

// protocols returns the door as clients of each protocol see it.
func protocols(door Door) map[string]Door {
	if door.TLS == nil {
		return map[string]Door{"HTTP1": door}
	}
	old := door
	old.TLS = door.TLS.Clone()
	old.TLS.NextProtos = []string{"http/1.1"}
	return map[string]Door{"HTTP1": old, "HTTP2": door}
}

var uploadCount atomic.Int64

// form returns the body of an upload of so many bytes in all, with a file name of its own.
func form(t *testing.T, size int) (body []byte, name, contentType string) {
	t.Helper()
	name = fmt.Sprintf("IMG_%04d.jpg", uploadCount.Add(1))
	var buffer bytes.Buffer
	parts := multipart.NewWriter(&buffer)
	file, err := parts.CreateFormFile("assetData", name)
	if err != nil {
		t.Fatal(err)
	}
	ending := len("\r\n--" + parts.Boundary() + "--\r\n")
	content := standin.Content(1 << 40)
	if _, err := content.Seek(uploadCount.Load()<<20+uploadCount.Load(), io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(file, name); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(file, content, int64(size-buffer.Len()-ending)); err != nil {
		t.Fatal(err)
	}
	if err := parts.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes(), name, parts.FormDataContentType()
}

// upload returns a request with the right key; a negative length is an unknown one.
func (d Door) upload(t *testing.T, contentType string, body io.Reader, length int) *http.Request {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, d.scheme()+"://"+d.Host+"/api/assets", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = int64(length)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("X-Access-Key", Key)
	return request
}

func knownLength(t *testing.T, door Door) {
	body, name, contentType := form(t, smallLimit)
	request := door.upload(t, contentType, bytes.NewReader(body), len(body))
	response, answer := do(t, door.client(t, "127.0.0.1"), request)
	wantCreated(t, response, answer)
	wantComplete(t, door, name)
}

func unknownLength(t *testing.T, door Door) {
	body, name, contentType := form(t, smallLimit)
	request := door.upload(t, contentType, bytes.NewReader(body), -1)
	response, answer := do(t, door.client(t, "127.0.0.1"), request)
	wantCreated(t, response, answer)
	wantComplete(t, door, name)
}

// knownLengthOver asks for 100 Continue: the first thing to come back must be the refusal.
func knownLengthOver(t *testing.T, door Door) {
	before := door.Immich.Requests()
	if !door.speaksHTTP1() {
		request := door.upload(t, "multipart/form-data; boundary=b", strings.NewReader(""), smallLimit+1)
		request.Header.Set("Expect", "100-continue")
		response, answer := do(t, door.client(t, "127.0.0.1"), request)
		wantError(t, response, answer, http.StatusRequestEntityTooLarge)
	} else {
		conn := door.dial(t)
		writeHead(t, conn, door, "Expect: 100-continue", "Content-Length: "+strconv.Itoa(smallLimit+1))
		response, answer := readAnswer(t, conn)
		wantError(t, response, answer, http.StatusRequestEntityTooLarge)
	}
	if door.Immich.Requests() != before {
		t.Error("the request has reached Immich")
	}
}

// unknownLengthOver sends one byte too many and then holds its breath.
func unknownLengthOver(t *testing.T, door Door) {
	content, name, contentType := form(t, smallLimit+1)
	body, source := io.Pipe()
	go source.Write(content)
	response, err := door.client(t, "127.0.0.1").Do(door.upload(t, contentType, body, -1))
	source.Close()
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, response, readAll(t, response), http.StatusRequestEntityTooLarge)
	upload := await(t, door, func(u standin.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if upload.Complete {
		t.Errorf("Immich has a complete upload: %+v", upload)
	}
}

// refusedWhileSending has clients that send more than buffers hold. A connection that is closed on them is reset, and in
// some of the runs the answer is lost with it.
func refusedWhileSending(t *testing.T, door Door) {
	const size = 32 << 20
	tries := 5
	if door.speaksHTTP1() {
		tries = 40
	}
	for name, refused := range map[string]struct {
		header http.Header
		length int
		status int
	}{
		"no key":         {nil, size, http.StatusForbidden},
		"known length":   {http.Header{"X-Access-Key": {Key}}, size, http.StatusRequestEntityTooLarge},
		"unknown length": {http.Header{"X-Access-Key": {Key}}, -1, http.StatusRequestEntityTooLarge},
	} {
		lost := 0
		for range tries {
			request := door.upload(t, "multipart/form-data; boundary=b", standin.Content(size), refused.length)
			request.Header = refused.header.Clone()
			response, err := door.client(t, "127.0.0.1").Do(request)
			if err != nil {
				lost++
				t.Log(err)
				continue
			}
			wantError(t, response, readAll(t, response), refused.status)
		}
		if lost > 0 {
			t.Errorf("%s: %d of %d answers are lost", name, lost, tries)
		}
	}
}

func firstByte(t *testing.T, door Door) {
	content, name, contentType := form(t, smallLimit)
	body, source := io.Pipe()
	defer source.Close()
	go source.Write(content[:smallLimit/2])
	request := door.upload(t, contentType, body, smallLimit)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		response, err := door.client(t, "127.0.0.1").Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			t.Errorf("status %d", response.StatusCode)
		}
	}()
	await(t, door, func(u standin.Upload) bool { return u.Filename == name && u.Bytes > 0 })
	if _, err := source.Write(content[smallLimit/2:]); err != nil {
		t.Error(err)
	}
	source.Close()
	<-answered
	wantComplete(t, door, name)
}

// earlyAnswer sends a file that Immich knows, and never comes to its end: the answer must come while it sends.
func earlyAnswer(t *testing.T, door Door) {
	content, name, contentType := form(t, large)
	request := door.upload(t, contentType, bytes.NewReader(content), len(content))
	response, answer := do(t, door.client(t, "127.0.0.1"), request)
	wantCreated(t, response, answer)
	checksum := wantComplete(t, door, name).Checksum

	body, source := io.Pipe()
	defer source.Close()
	go trickle(source)
	request = door.upload(t, contentType, body, 1<<40)
	request.Header.Set("X-Immich-Checksum", checksum)
	response, err := door.client(t, "127.0.0.1").Do(request)
	if err != nil {
		t.Fatal(err)
	}
	early, err := io.ReadAll(response.Body)
	source.Close()
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(early, []byte("duplicate")) {
		t.Errorf("status %d: %s, %v", response.StatusCode, early, err)
	}
}

// trickle sends until nobody listens any more. (A client that stops to listen would wait for ever with HTTP/1.1: net/http
// answers between two reads.)
func trickle(to *io.PipeWriter) {
	for {
		if _, err := to.Write(make([]byte, 1000)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func shortBody(t *testing.T, door Door) {
	content, name, contentType := form(t, smallLimit)
	if !door.speaksHTTP1() {
		request := door.upload(t, contentType, bytes.NewReader(content[:1000]), smallLimit)
		if response, err := door.client(t, "127.0.0.1").Do(request); err == nil {
			response.Body.Close()
		}
	} else {
		conn := door.dial(t)
		writeHead(t, conn, door, "Content-Type: "+contentType, "Content-Length: "+strconv.Itoa(smallLimit))
		if _, err := conn.Write(content[:1000]); err != nil {
			t.Fatal(err)
		}
		await(t, door, func(u standin.Upload) bool { return u.Filename == name })
		conn.Close()
	}
	upload := await(t, door, func(u standin.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if upload.Complete {
		t.Errorf("Immich has a complete upload: %+v", upload)
	}
}

func expectContinue(t *testing.T, door Door) {
	content, name, contentType := form(t, smallLimit)
	conn := door.dial(t)
	writeHead(t, conn, door, "Expect: 100-continue", "Content-Type: "+contentType, "Content-Length: "+strconv.Itoa(smallLimit))
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the first line is %q, %v", line, err)
	}
	if _, err := conn.Write(content); err != nil {
		t.Fatal(err)
	}
	wantComplete(t, door, name)
}

func expectDenied(t *testing.T, door Door) {
	before := door.Immich.Requests()
	conn := door.dial(t)
	if _, err := fmt.Fprintf(conn, "POST /api/assets HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n", door.Host); err != nil {
		t.Fatal(err)
	}
	response, answer := readAnswer(t, conn)
	wantError(t, response, answer, http.StatusForbidden)
	if door.Immich.Requests() != before {
		t.Error("the request has reached Immich")
	}
}

func (d Door) speaksHTTP1() bool {
	return d.TLS == nil || len(d.TLS.NextProtos) == 1 && d.TLS.NextProtos[0] == "http/1.1"
}

// writeHead begins an upload by hand, with the right key.
func writeHead(t *testing.T, conn net.Conn, door Door, lines ...string) {
	t.Helper()
	head := fmt.Sprintf("POST /api/assets HTTP/1.1\r\nHost: %s\r\nX-Access-Key: %s\r\n%s\r\n\r\n", door.Host, Key, strings.Join(lines, "\r\n"))
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
}

// readAnswer reads the first answer on the connection; one of 100 Continue is an answer.
func readAnswer(t *testing.T, conn net.Conn) (*http.Response, []byte) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return response, readAll(t, response)
}

func wantCreated(t *testing.T, response *http.Response, body []byte) {
	t.Helper()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("status %d: %s", response.StatusCode, body)
	}
}

func wantComplete(t *testing.T, door Door, name string) standin.Upload {
	t.Helper()
	upload := await(t, door, func(u standin.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if !upload.Complete {
		t.Fatalf("the upload is not complete: %+v", upload)
	}
	return upload
}

func await(t *testing.T, door Door, match func(standin.Upload) bool) standin.Upload {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	upload, err := door.Immich.Await(ctx, match)
	if err != nil {
		t.Fatalf("no such upload at Immich: %v; there are %+v", err, door.Immich.Uploads())
	}
	return upload
}
