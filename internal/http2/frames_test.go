package http2

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/immichaccess/immichaccess/internal/flowcontrol"
)

const whole = flagEndHeaders | flagEndStream

// TestMalformedRequestsAreReset has the client use the connection afterwards.
func TestMalformedRequestsAreReset(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler sees the request") })
	usual := []string{":method", "GET", ":scheme", "http", ":authority", "localhost", ":path", "/"}
	change := func(name, value string) []string {
		changed := slices.Clone(usual)
		changed[slices.Index(changed, name)+1] = value
		return changed
	}
	drop := func(name string) []string {
		i := slices.Index(usual, name)
		return slices.Concat(usual[:i], usual[i+2:])
	}
	for name, fields := range map[string][]string{
		"no method":                  drop(":method"),
		"no scheme":                  drop(":scheme"),
		"no path":                    drop(":path"),
		"empty path":                 change(":path", ""),
		"relative path":              change(":path", "a"),
		"space in the path":          change(":path", "/ HTTP/1.1"),
		"line end in the path":       change(":path", "/\r\nX: y"),
		"space in the method":        change(":method", "GET /admin"),
		"another scheme":             change(":scheme", "ftp"),
		"user in the authority":      change(":authority", "user@localhost"),
		"line end in the authority":  change(":authority", "localhost\r\nX: y"),
		"two methods":                append(slices.Clone(usual), ":method", "GET"),
		"two paths":                  append(slices.Clone(usual), ":path", "/"),
		"pseudo-header of responses": append(slices.Clone(usual), ":status", "200"),
		"unknown pseudo-header":      append(slices.Clone(usual), ":protocol", "websocket"),
		"pseudo-header at the end":   append([]string{"x-a", "b"}, usual...),
		"capital letter":             append(slices.Clone(usual), "X-a", "b"),
		"space in a name":            append(slices.Clone(usual), "x a", "b"),
		"colon in a name":            append(slices.Clone(usual), "x:a", "b"),
		"empty name":                 append(slices.Clone(usual), "", "b"),
		"line end in a value":        append(slices.Clone(usual), "x-a", "b\r\nc: d"),
		"NUL in a value":             append(slices.Clone(usual), "x-a", "b\x00"),
		"length without a body":      append(slices.Clone(usual), "content-length", "1"),
		"two lengths":                append(slices.Clone(usual), "content-length", "0", "content-length", "0"),
		"negative length":            append(slices.Clone(usual), "content-length", "-1"),
		"two lengths in one":         append(slices.Clone(usual), "content-length", "0, 0"),
		"CONNECT with a path":        change(":method", "CONNECT"),
	} {
		t.Run(name, func(t *testing.T) {
			p := s.dial(t)
			p.send(frameOf(frameHeaders, whole, 1, p.head(fields...)))
			if r := p.await(frameRSTStream); r.stream != 1 || errCode(r.number()) != codeProtocol {
				t.Errorf("stream %d: %d", r.stream, r.number())
			}
			p.sync()
		})
	}
}

func TestForbiddenFieldsAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler sees the request") })
	for name, value := range map[string]string{
		"connection": "close", "proxy-connection": "keep-alive", "keep-alive": "5", "transfer-encoding": "chunked", "upgrade": "websocket", "te": "gzip",
	} {
		p := s.dial(t)
		p.send(frameOf(frameHeaders, whole, 1, p.request("GET", "/", name, value)))
		if r := p.await(frameHeaders); r.fields[":status"] != "400" {
			t.Errorf("%s: %v", name, r.fields)
		}
	}
}

// TestRefusalsHaveADeadline has no window for them.
func TestRefusalsHaveADeadline(t *testing.T) {
	t.Parallel()
	s := serve(t, nil, func(s *Server) { s.HeadTimeout = time.Second })
	for name, value := range map[string]string{"connection": "close", "x-filling": strings.Repeat("a", 40<<10)} {
		p := s.dial(t, settingWindow, 0)
		p.send(string(appendHeaders(nil, 1, []byte(p.request("GET", "/", name, value)), true)))
		if r := p.await(frameHeaders); r.fields[":status"][0] != '4' {
			t.Errorf("%s: %v", name, r.fields)
		}
		if r := p.await(frameRSTStream); errCode(r.number()) != codeInternal {
			t.Errorf("%s: %d", name, r.number())
		}
	}
}

// TestOnlyRequestsKeepConnections sends heads that are none.
func TestOnlyRequestsKeepConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {}, func(s *Server) { s.HeadTimeout = 2 * time.Second })
	p := s.dial(t)
	p.send(frameOf(frameHeaders, whole, 1, p.head(":path", "/")))
	p.await(frameRSTStream)
	block := p.head(":path", "/")
	p.send(frameOf(frameHeaders, flagEndStream, 3, block[:1]), frameOf(frameContinuation, flagEndHeaders, 3, block[1:]))
	p.await(frameRSTStream)
	p.ends()
	if _, asked := s.monitor.is(); asked != 0 {
		t.Errorf("%d requests", asked)
	}
}

// TestOversizedHeads answers, and keeps the connection, unless the head is much too large.
func TestOversizedHeads(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	for size, want := range map[int]string{30 << 10: "200", 33 << 10: "431", 63 << 10: "431"} {
		p := s.dial(t)
		block := p.request("GET", "/", "x-filling", strings.Repeat("\xff", size)) // longer in Huffman's code, which is not used then
		p.send(string(appendHeaders(nil, 1, []byte(block), true)))
		if r := p.await(frameHeaders); r.fields[":status"] != want {
			t.Errorf("%d bytes: %v", size, r.fields)
		}
		p.get(3, "/")
		if r := p.await(frameHeaders); r.fields[":status"] != "200" {
			t.Errorf("after %d bytes: %v", size, r.fields)
		}
	}
	for _, size := range []int{66 << 10, 200 << 10} {
		p := s.dial(t)
		_, _ = p.Write(appendHeaders(nil, 1, []byte(p.request("GET", "/", "x-filling", strings.Repeat("\xff", size))), true))
		if r := p.await(frameGoAway); errCode(r.payload[7]) != codeCalm {
			t.Errorf("%d bytes: %q", size, r.payload)
		}
		p.ends()
	}
}

// TestManySmallContinuations is a block that never gets large, and never ends.
func TestManySmallContinuations(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	p := s.dial(t)
	p.send(frameOf(frameHeaders, flagEndStream, 1, p.request("GET", "/")))
	_, _ = io.WriteString(p, strings.Repeat(frameOf(frameContinuation, 0, 1, ""), 20_000))
	if r := p.await(frameGoAway); errCode(r.payload[7]) != codeCalm {
		t.Errorf("%q", r.payload)
	}
}

// TestPendingHeads reports unfinished heads, and takes them back.
func TestPendingHeads(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	p := s.dial(t)
	for stream := uint32(1); stream < 6; stream += 2 {
		block := p.request("GET", "/", "x-filling", strings.Repeat(fmt.Sprint(stream), 1000))
		p.send(frameOf(frameHeaders, flagEndStream, stream, block[:500]), frameOf(frameContinuation, 0, stream, block[500:600]))
		waitUntil(t, "the head to be pending", func() bool { pending, _ := s.monitor.is(); return pending >= 600 })
		p.send(frameOf(frameContinuation, flagEndHeaders, stream, block[600:]))
		p.await(frameHeaders)
		if pending, asked := s.monitor.is(); pending != 0 || asked != 1 {
			t.Errorf("%d bytes are pending, %d heads were the first", pending, asked)
		}
	}
}

func (r *recorder) is() (pending int64, asked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pending, r.asked
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s", what)
		}
	}
}

// TestBodiesArriveWhole sends some in frames of every size and with padding, through windows that have to be extended, while other
// bodies arrive.
func TestBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	const size, streams = 14 << 20, 3 // more than a window, and the connection's
	got := make(chan []byte, streams)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(r.Body, 1000)))
		rest, err2 := io.ReadAll(r.Body)
		if err = errors.Join(err, err2); err != nil {
			t.Error(err)
		}
		got <- append(body, rest...)
	})
	content := make([]byte, size)
	_, _ = rand.Read(content)
	client := newClient(t)
	client.Timeout = 0
	go func() {
		if _, err := client.Post("http://"+s.address, "", iotest.OneByteReader(io.LimitReader(bytes.NewReader(content), 10_000))); err != nil {
			t.Error(err)
		}
	}()
	p := s.dial(t)
	p.send(frameOf(frameHeaders, flagEndHeaders, 1, p.request("POST", "/")))
	window := int64(defaultWindow)
	var mu sync.Mutex
	extended := sync.NewCond(&mu)
	go p.countWindow(&mu, extended, &window)
	for sent := 0; sent < size; {
		n := min(1+mathrand.IntN(maxFrame-300), size-sent)
		padding := mathrand.IntN(256)
		mu.Lock()
		for window < int64(n+padding+1) {
			extended.Wait()
		}
		window -= int64(n + padding + 1)
		mu.Unlock()
		p.send(frameOf(frameData, flagPadded, 1, string([]byte{byte(padding)})+string(content[sent:sent+n])+strings.Repeat("\x00", padding)))
		sent += n
	}
	p.send(frameOf(frameHeaders, whole, 1, p.head("x-trailer", "1")))
	for range 2 {
		if body := <-got; !bytes.Equal(body, content[:len(body)]) || len(body) != size && len(body) != 10_000 {
			t.Errorf("%d bytes of another body have arrived", len(body))
		}
	}
}

// countWindow adds what the server extends the connection's window by.
func (p *peer) countWindow(mu *sync.Mutex, extended *sync.Cond, window *int64) {
	for {
		r, err := p.next()
		if err != nil {
			return
		}
		if r.kind == frameWindowUpdate && r.stream == 0 {
			mu.Lock()
			*window += int64(r.number())
			extended.Broadcast()
			mu.Unlock()
		}
	}
}

// TestResponsesRespectWindows reads downloads whose windows are extended by odd amounts, and changed meanwhile.
func TestResponsesRespectWindows(t *testing.T) {
	t.Parallel()
	content := make([]byte, 300_000)
	_, _ = rand.Read(content)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	for _, initial := range []int{0, 1, 1000, 16384, 65535, 100_000, 1 << 30} {
		t.Run(fmt.Sprint(initial), func(t *testing.T) {
			t.Parallel()
			p := s.dial(t, settingWindow, initial, settingPush, 0)
			p.get(1, "/")
			p.get(3, "/")
			bodies := map[uint32][]byte{}
			windows, all, ended := map[uint32]int{1: initial, 3: initial}, defaultWindow, 0
			for ended < 2 {
				p.extend(windows, &all, initial)
				r := p.await(frameData)
				bodies[r.stream] = append(bodies[r.stream], r.payload...)
				windows[r.stream] -= r.length
				all -= r.length
				if windows[r.stream] < 0 || all < 0 {
					t.Fatalf("stream %d exceeds its window by %d, or all by %d", r.stream, -windows[r.stream], -all)
				}
				if r.has(flagEndStream) {
					ended++
				}
			}
			if !bytes.Equal(bodies[1], content) || !bytes.Equal(bodies[3], content) {
				t.Errorf("%d and %d bytes", len(bodies[1]), len(bodies[3]))
			}
		})
	}
}

// extend extends windows that are empty.
func (p *peer) extend(windows map[uint32]int, all *int, initial int) {
	for stream, window := range windows {
		if window == 0 {
			by := 1 + mathrand.IntN(max(initial, 50_000))
			p.send(windowUpdate(stream, uint32(by)))
			windows[stream] += by
		}
	}
	if *all < 1000 {
		p.send(windowUpdate(0, 40_000))
		*all += 40_000
	}
}

// TestWindowsMayBecomeNegative by a setting (RFC 9113, section 6.9.2).
func TestWindowsMayBecomeNegative(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 20_000)) })
	p := s.dial(t, settingWindow, 10_000)
	p.get(1, "/")
	for received := 0; received < 10_000; {
		received += p.await(frameData).length
	}
	p.settings(settingWindow, 1000) // so -9,000 are left
	p.send(windowUpdate(1, 9000))
	p.sync() // without DATA in between
	p.send(windowUpdate(1, 1))
	if r := p.await(frameData); r.length != 1 {
		t.Errorf("%d bytes", r.length)
	}
	p.settings(settingWindow, 100_000)
	for received := 1; received < 10_000; {
		received += p.await(frameData).length
	}
}

// TestStreamsTakeTurns lets a short response overtake a long one.
func TestStreamsTakeTurns(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = w.Write(make([]byte, 100<<20))
		}
	})
	p := s.dial(t, settingWindow, highest)
	p.send(windowUpdate(0, highest-defaultWindow))
	p.get(1, "/long")
	p.await(frameData)
	p.get(3, "/")
	for received := 0; ; {
		r, err := p.next()
		if err != nil || r.has(flagEndStream) && r.stream == 1 {
			t.Fatalf("the long response is first, after %d bytes: %v", received, err)
		}
		if r.stream == 3 {
			return
		}
		received += r.length
	}
}

func TestDeadlinesEndStreams(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 2)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		soon := time.Now().Add(50 * time.Millisecond)
		if r.Method == http.MethodPost {
			_ = control.SetReadDeadline(soon)
			_, err := io.Copy(io.Discard, r.Body)
			errs <- err
			return
		}
		_ = control.Flush()
		time.AfterFunc(10*time.Millisecond, func() { _ = control.SetWriteDeadline(soon) })
		_, err := w.Write(make([]byte, 5000))
		errs <- err
	})
	p := s.dial(t, settingWindow, 0)
	p.get(1, "/")
	if r := p.await(frameRSTStream); errCode(r.number()) != codeInternal {
		t.Errorf("%d", r.number())
	}
	p.send(frameOf(frameHeaders, flagEndHeaders, 3, p.request("POST", "/")), frameOf(frameData, 0, 3, "some"))
	if r := p.await(frameHeaders); r.fields[":status"] != "200" {
		t.Errorf("%v", r.fields)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	}
}

// TestEarlyAnswers sends on after an answer to half a body: the client gets all of it, and is told to stop, once.
func TestEarlyAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	p := s.dial(t)
	p.send(frameOf(frameHeaders, flagEndHeaders, 1, p.request("POST", "/")))
	if r := p.await(frameHeaders); r.fields[":status"] != "403" {
		t.Errorf("%v", r.fields)
	}
	if r := p.await(frameRSTStream); errCode(r.number()) != codeNone {
		t.Errorf("%d", r.number())
	}
	for range 4 * windowStep / maxFrame { // the connection's window is extended by it
		p.send(frameOf(frameData, 0, 1, strings.Repeat("x", maxFrame)))
	}
	p.send(frameOf(frameData, flagEndStream, 1, "x"), frameOf(framePing, 0, 0, "12345678"))
	extended := uint32(0)
	for {
		r, err := p.next()
		switch {
		case err != nil:
			t.Fatal(err)
		case r.kind == frameRSTStream, r.kind == frameGoAway:
			t.Fatalf("type %d: %q", r.kind, r.payload)
		case r.kind == frameWindowUpdate && r.stream == 0:
			extended += r.number()
		case r.kind == framePing:
			if extended < 3*windowStep {
				t.Errorf("the window is extended by %d", extended)
			}
			p.send(frameOf(frameData, 0, 1, "x"))
			if r := p.await(frameRSTStream); errCode(r.number()) != codeStreamClosed {
				t.Errorf("after the end: %d", r.number())
			}
			return
		}
	}
}

// TestEarlyAnswersLeaveRoom for as many requests as may run.
func TestEarlyAnswersLeaveRoom(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {}, func(s *Server) { s.MaxStreams = 3 })
	p := s.dial(t)
	for i := range 10 {
		stream := uint32(1 + 2*i)
		p.send(frameOf(frameHeaders, flagEndHeaders, stream, p.request("POST", "/")))
		if r := p.await(frameHeaders); r.stream != stream || r.fields[":status"] != "200" {
			t.Fatalf("stream %d: %v", r.stream, r.fields)
		}
	}
}

// TestContinue sends 100 when the body is read, once, and not after the response has begun.
func TestContinue(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			_ = http.NewResponseController(w).Flush()
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "some" || r.Header["Expect"] != nil {
			t.Errorf("%q, %v, %v", body, err, r.Header)
		}
	})
	for path, want := range map[string][]string{"/": {"100", "200"}, "/late": {"200"}} {
		p := s.dial(t)
		p.send(frameOf(frameHeaders, flagEndHeaders, 1, p.request("POST", path, "expect", "100-continue")))
		for i, status := range want {
			if r := p.await(frameHeaders); r.fields[":status"] != status {
				t.Errorf("%s: %v", path, r.fields)
			}
			if i == 0 {
				p.send(frameOf(frameData, 0, 1, "so"), frameOf(frameData, flagEndStream, 1, "me"))
			}
		}
		p.send(frameOf(framePing, 0, 0, "12345678"))
		for {
			r, err := p.next()
			if err != nil || r.kind == frameHeaders {
				t.Fatalf("%s: %+v, %v", path, r, err)
			}
			if r.kind == framePing {
				break
			}
		}
	}
}

// TestWindowsAreEnforced has clients send more than they may, and allow more than there can be.
func TestWindowsAreEnforced(t *testing.T) {
	t.Parallel()
	const window = flowcontrol.UploadWindow
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/closed" { // so that only the connection's window is extended
			_ = r.Body.Close()
		}
		<-r.Context().Done()
	})
	send := func(p *peer, size int) {
		for range size / maxFrame {
			if _, err := io.WriteString(p, frameOf(frameData, 0, 1, strings.Repeat("x", maxFrame))); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		path  string
		begin func(p *peer)
		kind  byte // of the answer
	}{
		"DATA on a stream":             {"/closed", func(p *peer) { send(p, window+maxFrame) }, frameRSTStream},
		"DATA on the connection":       {"/", func(p *peer) { send(p, window+maxFrame) }, frameGoAway},
		"WINDOW_UPDATE of a stream":    {"/", func(p *peer) { p.send(windowUpdate(1, highest)) }, frameRSTStream},
		"WINDOW_UPDATE of all streams": {"/", func(p *peer) { p.send(windowUpdate(0, highest)) }, frameGoAway},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.dial(t)
			p.send(frameOf(frameHeaders, flagEndHeaders, 1, p.request("POST", c.path)))
			p.sync()
			go c.begin(p)
			r := p.await(c.kind)
			if code := binary.BigEndian.Uint32([]byte(r.payload[len(r.payload)-4:])); errCode(code) != codeFlowControl {
				t.Errorf("error %d", code)
			}
		})
	}
}

// TestRequestsBeyondTheLimit are refused, or, when the client resets those that run, ends the connection.
func TestRequestsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, _ *http.Request) { <-release }, func(s *Server) { s.MaxStreams = 3 })
	defer close(release)
	p := s.dial(t)
	for i := range 4 {
		p.get(uint32(1+2*i), "/")
	}
	if r := p.await(frameRSTStream); r.stream != 7 || errCode(r.number()) != codeRefused {
		t.Errorf("stream %d: %d", r.stream, r.number())
	}
	p = s.dial(t)
	for i := range 2 + 3*queueFactor + 3 {
		stream := uint32(1 + 2*i)
		_, _ = io.WriteString(p, frameOf(frameHeaders, whole, stream, p.request("GET", "/"))+string(appendNumber(nil, frameRSTStream, stream, 8)))
	}
	if r := p.await(frameGoAway); errCode(r.payload[7]) != codeCalm {
		t.Errorf("%q", r.payload)
	}
	p.ends()
}

// TestQueuedRequestsAreServed when the handlers of those that were reset have returned.
func TestQueuedRequestsAreServed(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			<-release
		}
	}, func(s *Server) { s.MaxStreams = 2 })
	p := s.dial(t)
	for stream := uint32(1); stream < 8; stream += 2 {
		p.get(stream, "/slow")
		p.send(string(appendNumber(nil, frameRSTStream, stream, 8)))
	}
	p.get(9, "/")
	p.sync()
	close(release)
	if r := p.await(frameHeaders); r.stream != 9 || r.fields[":status"] != "200" {
		t.Errorf("stream %d: %v", r.stream, r.fields)
	}
}

// TestResetsCancelHandlers ends the context, a body, and a response that waits for the window.
func TestResetsCancelHandlers(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 3)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/context":
			<-r.Context().Done()
			ended <- r.Context().Err()
		case "/body":
			_, err := io.Copy(io.Discard, r.Body)
			ended <- err
		case "/response":
			_, err := w.Write(make([]byte, 100_000))
			ended <- err
		}
	})
	for name, end := range map[string]func(p *peer, stream uint32){
		"reset":      func(p *peer, stream uint32) { p.send(string(appendNumber(nil, frameRSTStream, stream, 8))) },
		"disconnect": func(p *peer, _ uint32) { _ = p.Close() },
		"error":      func(p *peer, _ uint32) { p.send(frameOf(framePushPromise, 0, 1, "")) },
	} {
		for i, path := range []string{"/context", "/body", "/response"} {
			p, stream := s.dial(t), uint32(1+2*i)
			p.send(frameOf(frameHeaders, flagEndHeaders, stream, p.request("POST", path)))
			p.sync()
			end(p, stream)
			select {
			case err := <-ended:
				if err == nil {
					t.Errorf("%s of %s: no error", name, path)
				}
			case <-time.After(patience):
				t.Fatalf("%s of %s: the handler goes on", name, path)
			}
		}
	}
	waitUntil(t, "the connections to be idle", func() bool { s.monitor.mu.Lock(); defer s.monitor.mu.Unlock(); return !s.monitor.running })
}

// TestClientsThatReadNothing send frames that have to be answered.
func TestClientsThatReadNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	for name, frames := range map[string]string{
		"PING":     frameOf(framePing, 0, 0, "12345678"),
		"SETTINGS": frameOf(frameSettings, 0, 0, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := s.dial(t)
			many := strings.Repeat(frames, 10_000)
			for {
				if _, err := io.WriteString(p, many); isTimeout(err) {
					t.Fatal("the connection stays")
				} else if err != nil {
					return
				}
			}
		})
	}
}

// TestPanicsAreLogged, except for the one with which handlers abort a response.
func TestPanicsAreLogged(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			panic(http.ErrAbortHandler)
		}
		panic("a defect")
	})
	p := s.dial(t)
	for i, path := range []string{"/", "/defect"} {
		p.get(uint32(1+2*i), path)
		if r := p.await(frameRSTStream); errCode(r.number()) != codeInternal {
			t.Errorf("%s: %d", path, r.number())
		}
	}
	if log := s.log.String(); strings.Count(log, "panic serving") != 1 || !strings.Contains(log, "a defect") {
		t.Error(log)
	}
}

// TestPanicsAfterTheEnd are too late to abort a response.
func TestPanicsAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write(make([]byte, 5000))
		panic(http.ErrAbortHandler)
	})
	p := s.dial(t)
	p.get(1, "/")
	for ended := false; !ended; {
		ended = p.await(frameData).has(flagEndStream)
	}
	p.get(3, "/")
	for {
		r, err := p.next()
		if err != nil || r.kind == frameRSTStream {
			t.Fatal(r, err)
		}
		if r.stream == 3 {
			return
		}
	}
}

// TestShutdownWaits for requests that run, and accepts no others.
func TestShutdownWaits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			<-release
		}
	})
	p, unused := s.dial(t), s.dial(t)
	p.get(1, "/")
	p.sync()
	unused.sync()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	if r := p.await(frameGoAway); r.payload != "\x00\x00\x00\x01\x00\x00\x00\x00" {
		t.Errorf("%q", r.payload)
	}
	unused.ends()
	_ = unused.Close()
	p.send(frameOf(frameHeaders, flagEndHeaders, 3, p.request("POST", "/late")), frameOf(frameData, 0, 3, "x"),
		frameOf(frameHeaders, whole, 3, p.head("x-trailer", "1")))
	p.sync()
	close(release)
	if r := p.await(frameHeaders); r.stream != 1 || r.fields[":status"] != "200" {
		t.Errorf("stream %d: %v", r.stream, r.fields)
	}
	p.ends()
	_ = p.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSlowClientsReceiveTheEnd of a response that was written completely before they have read most of it, while they still send.
func TestSlowClientsReceiveTheEnd(t *testing.T) {
	t.Parallel()
	const size, part = 60_000, 5_000
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = w.Write(make([]byte, size))
	})
	p := s.dial(t)
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(part)
	p.get(1, "/")
	p.send(frameOf(frameGoAway, 0, 0, strings.Repeat("\x00", 8)))
	p.await(frameHeaders)
	for range size / part {
		if _, err := io.ReadFull(p, make([]byte, part)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(p, windowUpdate(0, part))
		time.Sleep(120 * time.Millisecond)
	}
	p.ends()
}

func TestClientsMayLeave(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	p := s.dial(t)
	p.get(1, "/")
	p.send(frameOf(frameGoAway, 0, 0, strings.Repeat("\x00", 8)))
	p.await(frameHeaders)
	p.ends()
}

// FuzzConnections sends anything after the preface. Nothing may panic or be left behind.
func FuzzConnections(f *testing.F) {
	p := &peer{}
	p.reset()
	get := p.request("GET", "/")
	f.Add([]byte(frameOf(frameSettings, 0, 0, "") + frameOf(frameHeaders, whole, 1, get)))
	f.Add([]byte(frameOf(frameSettings, 0, 0, "\x00\x04\x00\x00\x00\x00") + frameOf(frameHeaders, flagEndHeaders, 1, get) + frameOf(frameData, flagPadded, 1, "\x02abc  ") +
		windowUpdate(1, 5) + string(appendNumber(nil, frameRSTStream, 1, 8))))
	f.Add([]byte(frameOf(frameSettings, 0, 0, "") + frameOf(frameHeaders, flagPadded|flagPriority, 1, "\x01\x00\x00\x00\x00\x00"+get[:5]+"\x00") + frameOf(frameContinuation, flagEndHeaders, 1, get[5:]) +
		frameOf(frameData, 0, 1, "x") + frameOf(frameHeaders, whole, 1, "")))
	s := serve(f, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	f.Fuzz(func(t *testing.T, sent []byte) {
		p := s.connect(t)
		_, _ = p.Write(sent)
		_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		p.drain()
	})
}
