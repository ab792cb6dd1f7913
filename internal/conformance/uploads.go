package conformance

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

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
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
	for name, test := range map[string]func(*testing.T, Gateway){
		"known length":                            knownLength,
		"known length over the limit":             knownLengthOver,
		"unknown length, exactly the limit":       unknownLength,
		"unknown length over the limit":           unknownLengthOver,
		"first byte arrives before the last left": firstByte,
		"body shorter than Content-Length":        shortBody,
		"refused while the client sends":          refusedWhileSending,
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, gateway := range protocols(proxy.Open(t, small)) {
				t.Run(protocol, func(t *testing.T) { test(t, gateway) })
			}
		})
	}
	for name, test := range map[string]func(*testing.T, Gateway){
		"100 Continue":                expectContinue,
		"no 100 Continue without key": expectDenied,
	} {
		t.Run(name, func(t *testing.T) { test(t, protocols(proxy.Open(t, small))["HTTP1"]) })
	}
	for name, test := range map[string]func(*testing.T, Gateway){
		"no limit":     noLimit,
		"early answer": earlyAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, gateway := range protocols(proxy.Open(t, unlimited)) {
				t.Run(protocol, func(t *testing.T) { test(t, gateway) })
			}
		})
	}
}

func noLimit(t *testing.T, gateway Gateway) {
	body, name, contentType := form(t, large)
	response, answer := do(t, gateway.client(t, "127.0.0.1"), gateway.upload(t, contentType, bytes.NewReader(body), -1))
	wantCreated(t, response, answer)
	wantComplete(t, gateway, name)
}

// protocols returns the gateway for clients of each protocol.
func protocols(gateway Gateway) map[string]Gateway {
	if gateway.TLS == nil {
		return map[string]Gateway{"HTTP1": gateway}
	}
	old := gateway
	old.TLS = gateway.TLS.Clone()
	old.TLS.NextProtos = []string{"http/1.1"}
	return map[string]Gateway{"HTTP1": old, "HTTP2": gateway}
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
	content := fakeimmich.Content(1 << 40)
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
func (g Gateway) upload(t *testing.T, contentType string, body io.Reader, length int) *http.Request {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, g.scheme()+"://"+g.Host+"/api/assets", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = int64(length)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("X-Access-Key", Key)
	return request
}

func knownLength(t *testing.T, gateway Gateway) {
	body, name, contentType := form(t, smallLimit)
	request := gateway.upload(t, contentType, bytes.NewReader(body), len(body))
	response, answer := do(t, gateway.client(t, "127.0.0.1"), request)
	wantCreated(t, response, answer)
	wantComplete(t, gateway, name)
}

func unknownLength(t *testing.T, gateway Gateway) {
	body, name, contentType := form(t, smallLimit)
	request := gateway.upload(t, contentType, bytes.NewReader(body), -1)
	response, answer := do(t, gateway.client(t, "127.0.0.1"), request)
	wantCreated(t, response, answer)
	wantComplete(t, gateway, name)
}

// knownLengthOver sends Expect: 100-continue: the first response must be the refusal.
func knownLengthOver(t *testing.T, gateway Gateway) {
	before := gateway.Immich.Requests()
	if !gateway.speaksHTTP1() {
		request := gateway.upload(t, "multipart/form-data; boundary=b", strings.NewReader(""), smallLimit+1)
		request.Header.Set("Expect", "100-continue")
		response, answer := do(t, gateway.client(t, "127.0.0.1"), request)
		wantError(t, response, answer, http.StatusRequestEntityTooLarge)
	} else {
		conn := gateway.dial(t)
		writeHead(t, conn, gateway, "Expect: 100-continue", "Content-Length: "+strconv.Itoa(smallLimit+1))
		response, answer := readAnswer(t, conn)
		wantError(t, response, answer, http.StatusRequestEntityTooLarge)
	}
	if gateway.Immich.Requests() != before {
		t.Error("the request has reached Immich")
	}
}

// unknownLengthOver sends one byte too many and then nothing.
func unknownLengthOver(t *testing.T, gateway Gateway) {
	content, name, contentType := form(t, smallLimit+1)
	body, source := io.Pipe()
	go source.Write(content)
	response, err := gateway.client(t, "127.0.0.1").Do(gateway.upload(t, contentType, body, -1))
	source.Close()
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, response, readAll(t, response), http.StatusRequestEntityTooLarge)
	upload := await(t, gateway, func(u fakeimmich.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if upload.Complete {
		t.Errorf("Immich has a complete upload: %+v", upload)
	}
}

// refusedWhileSending has clients that send more than buffers hold. If the connection is closed on them, it is reset, and in
// some of the runs the response is lost.
func refusedWhileSending(t *testing.T, gateway Gateway) {
	const size = 32 << 20
	tries := 5
	if gateway.speaksHTTP1() {
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
			request := gateway.upload(t, "multipart/form-data; boundary=b", fakeimmich.Content(size), refused.length)
			request.Header = refused.header.Clone()
			response, err := gateway.client(t, "127.0.0.1").Do(request)
			if err != nil {
				lost++
				t.Log(err)
				continue
			}
			wantError(t, response, readAll(t, response), refused.status)
		}
		if lost > 0 {
			t.Errorf("%s: %d of %d responses are lost", name, lost, tries)
		}
	}
}

func firstByte(t *testing.T, gateway Gateway) {
	content, name, contentType := form(t, smallLimit)
	body, source := io.Pipe()
	defer source.Close()
	go source.Write(content[:smallLimit/2])
	request := gateway.upload(t, contentType, body, smallLimit)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		response, err := gateway.client(t, "127.0.0.1").Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			t.Errorf("status %d", response.StatusCode)
		}
	}()
	await(t, gateway, func(u fakeimmich.Upload) bool { return u.Filename == name && u.Bytes > 0 })
	if _, err := source.Write(content[smallLimit/2:]); err != nil {
		t.Error(err)
	}
	source.Close()
	<-answered
	wantComplete(t, gateway, name)
}

// earlyAnswer sends a file that Immich already has, without end: the response must arrive while it sends.
func earlyAnswer(t *testing.T, gateway Gateway) {
	content, name, contentType := form(t, large)
	request := gateway.upload(t, contentType, bytes.NewReader(content), len(content))
	response, answer := do(t, gateway.client(t, "127.0.0.1"), request)
	wantCreated(t, response, answer)
	checksum := wantComplete(t, gateway, name).Checksum

	body, source := io.Pipe()
	defer source.Close()
	go trickle(source)
	request = gateway.upload(t, contentType, body, 1<<40)
	request.Header.Set("X-Immich-Checksum", checksum)
	response, err := gateway.client(t, "127.0.0.1").Do(request)
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

// trickle sends until the connection is closed. (A client that stopped sending would wait forever over HTTP/1.1: net/http
// responds between two reads.)
func trickle(to *io.PipeWriter) {
	for {
		if _, err := to.Write(make([]byte, 1000)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func shortBody(t *testing.T, gateway Gateway) {
	content, name, contentType := form(t, smallLimit)
	if !gateway.speaksHTTP1() {
		request := gateway.upload(t, contentType, bytes.NewReader(content[:1000]), smallLimit)
		if response, err := gateway.client(t, "127.0.0.1").Do(request); err == nil {
			response.Body.Close()
		}
	} else {
		conn := gateway.dial(t)
		writeHead(t, conn, gateway, "Content-Type: "+contentType, "Content-Length: "+strconv.Itoa(smallLimit))
		if _, err := conn.Write(content[:1000]); err != nil {
			t.Fatal(err)
		}
		await(t, gateway, func(u fakeimmich.Upload) bool { return u.Filename == name })
		conn.Close()
	}
	upload := await(t, gateway, func(u fakeimmich.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if upload.Complete {
		t.Errorf("Immich has a complete upload: %+v", upload)
	}
}

func expectContinue(t *testing.T, gateway Gateway) {
	content, name, contentType := form(t, smallLimit)
	conn := gateway.dial(t)
	writeHead(t, conn, gateway, "Expect: 100-continue", "Content-Type: "+contentType, "Content-Length: "+strconv.Itoa(smallLimit))
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the first line is %q, %v", line, err)
	}
	if _, err := conn.Write(content); err != nil {
		t.Fatal(err)
	}
	wantComplete(t, gateway, name)
}

func expectDenied(t *testing.T, gateway Gateway) {
	before := gateway.Immich.Requests()
	conn := gateway.dial(t)
	if _, err := fmt.Fprintf(conn, "POST /api/assets HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n", gateway.Host); err != nil {
		t.Fatal(err)
	}
	response, answer := readAnswer(t, conn)
	wantError(t, response, answer, http.StatusForbidden)
	if gateway.Immich.Requests() != before {
		t.Error("the request has reached Immich")
	}
}

func (g Gateway) speaksHTTP1() bool {
	return g.TLS == nil || len(g.TLS.NextProtos) == 1 && g.TLS.NextProtos[0] == "http/1.1"
}

// writeHead writes the head of an upload, with the right key.
func writeHead(t *testing.T, conn net.Conn, gateway Gateway, lines ...string) {
	t.Helper()
	head := fmt.Sprintf("POST /api/assets HTTP/1.1\r\nHost: %s\r\nX-Access-Key: %s\r\n%s\r\n\r\n", gateway.Host, Key, strings.Join(lines, "\r\n"))
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
}

// readAnswer reads the first response on the connection, which may be 100 Continue.
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

func wantComplete(t *testing.T, gateway Gateway, name string) fakeimmich.Upload {
	t.Helper()
	upload := await(t, gateway, func(u fakeimmich.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if !upload.Complete {
		t.Fatalf("the upload is not complete: %+v", upload)
	}
	return upload
}

func await(t *testing.T, gateway Gateway, match func(fakeimmich.Upload) bool) fakeimmich.Upload {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	upload, err := gateway.Immich.Await(ctx, match)
	if err != nil {
		t.Fatalf("no such upload at Immich: %v; there are %+v", err, gateway.Immich.Uploads())
	}
	return upload
}
