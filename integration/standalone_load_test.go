package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/immichaccess/immichaccess/internal/standin"
	"github.com/quic-go/quic-go/http3"
)

// What the standalone proxy takes of memory, as a program of its own, so that the test's memory is not counted.

const gigabyte = 1 << 30

// door is a standalone proxy as a program, with a self-signed certificate, open to everybody.
type door struct {
	address string
	immich  *standin.Server
	log     *logBuffer
	process *os.Process
}

func startDoor(t *testing.T) door {
	t.Helper()
	immich, upstream := serveImmich(t)
	d := door{address: freeAddress(t), immich: immich}
	d.log, d.process = launch(t, nil, "immichaccess", "--upstreams="+upstream, "--listen.https="+d.address, "--listen.http=", "--access.requireKey=false")
	await(t, "the proxy", func() bool { return certificate(d.address, "localhost") != nil })
	return d
}

// peak is the most memory the program has had, in bytes.
func (d door) peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatal("there is no VmHWM")
	return 0
}

func (d door) url(path string) string {
	return "https://" + d.address + path
}

// speakers are clients of one protocol each.
func speakers(t *testing.T) map[string]*http.Client {
	t.Helper()
	one, two := anyCertificate(), anyCertificate()
	one.NextProtos = []string{"http/1.1"}
	three := &http3.Transport{TLSClientConfig: anyCertificate()}
	t.Cleanup(func() { _ = three.Close() })
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{TLSClientConfig: one}},
		"HTTP/2":   {Transport: &http.Transport{TLSClientConfig: two, ForceAttemptHTTP2: true}},
		"HTTP/3":   {Transport: three},
	}
}

const formHead, formTail = "--x\r\nContent-Disposition: form-data; name=\"assetData\"; filename=\"a.mp4\"\r\n\r\n", "\r\n--x--\r\n"

func form(size int64) io.Reader {
	return io.MultiReader(strings.NewReader(formHead), standin.Content(size), strings.NewReader(formTail))
}

func sendUpload(t *testing.T, client *http.Client, url string, body io.Reader) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
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

func TestBigTransfersTakeLittleMemory(t *testing.T) {
	for protocol, client := range speakers(t) {
		t.Run(protocol, func(t *testing.T) {
			d := startDoor(t)
			sendUpload(t, client, d.url("/api/assets"), form(2*gigabyte))
			response, err := client.Get(d.url(fmt.Sprintf("/api/assets/1/original?size=%d", 2*gigabyte)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if n, err := io.Copy(io.Discard, response.Body); n != 2*gigabyte || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			if upload := d.immich.Uploads()[0]; !upload.Complete || upload.Size != 2*gigabyte {
				t.Errorf("Immich has %+v", upload)
			}
			wantPeak(t, d, 96<<20)
		})
	}
}

func wantPeak(t *testing.T, d door, most int64) {
	t.Helper()
	peak := d.peak(t)
	t.Logf("the proxy took %d MB at most", peak>>20)
	if peak > most {
		t.Errorf("that is more than %d MB", most>>20)
	}
}

// TestManyUploadsTakeLittleMemory has a hundred clients, each with a connection of its own, in the middle of an upload at
// the same time.
func TestManyUploadsTakeLittleMemory(t *testing.T) {
	const count = 100
	d := startDoor(t)
	before := d.peak(t)
	var all sync.WaitGroup
	release := make(chan struct{})
	for range count {
		all.Go(func() {
			body, writer := io.Pipe()
			go func() {
				_, _ = io.Copy(writer, io.MultiReader(strings.NewReader(formHead), standin.Content(1<<20)))
				<-release
				_, _ = io.Copy(writer, io.MultiReader(standin.Content(1<<20), strings.NewReader(formTail)))
				_ = writer.Close()
			}()
			sendUpload(t, speakers(t)["HTTP/2"], d.url("/api/assets"), body)
		})
	}
	await(t, "all uploads to be under way", func() bool {
		uploads := d.immich.Uploads()
		return len(uploads) == count && uploads[count-1].Bytes > 1<<19
	})
	close(release)
	all.Wait()
	wantPeak(t, d, before+64<<20)
}

func TestIdleWebSocketsStay(t *testing.T) {
	const count = 2000
	d := startDoor(t)
	client := speakers(t)["HTTP/1.1"]
	sockets := make([]*websocket.Conn, count)
	for i := range sockets {
		conn, _, err := websocket.Dial(t.Context(), d.url("/api/socket.io/?EIO=4&transport=websocket"), &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		sockets[i] = conn
	}
	for i, conn := range sockets {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
		if _, echo, err := conn.Read(t.Context()); err != nil || !bytes.Equal(echo, []byte("still here")) {
			t.Fatalf("number %d: %q, %v", i, echo, err)
		}
	}
	t.Logf("the proxy took %d MB at most", d.peak(t)>>20)
}

// TestTermLetsAnUploadFinish ends the program in the middle of an upload.
func TestTermLetsAnUploadFinish(t *testing.T) {
	for protocol, client := range speakers(t) {
		t.Run(protocol, func(t *testing.T) {
			d := startDoor(t)
			body, writer := io.Pipe()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				sendUpload(t, client, d.url("/api/assets"), body)
			}()
			rest := bufio.NewReader(form(1 << 20))
			_, _ = io.CopyN(writer, rest, 1<<19)
			await(t, "the upload to be under way", func() bool { u := d.immich.Uploads(); return len(u) == 1 && u[0].Bytes > 0 })
			if err := d.process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			await(t, "the proxy to stop", func() bool { return strings.Contains(d.log.String(), "stopping") })
			_, _ = io.Copy(writer, rest)
			_ = writer.Close()
			<-sent
			if upload := d.immich.Uploads()[0]; !upload.Complete || upload.Size != 1<<20 {
				t.Errorf("Immich has %+v", upload)
			}
		})
	}
}
