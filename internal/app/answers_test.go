package app

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/traefik/paerser/types"
)

// request writes the head of a request with the key.
func request(t *testing.T, conn io.Writer, line string, headers ...string) {
	t.Helper()
	head := line + " HTTP/1.1\r\nHost: localhost\r\nX-Access-Key: " + key + "\r\n"
	for _, h := range headers {
		head += h + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

// response reads a whole response.
func response(t *testing.T, conn *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	got, err := http.ReadResponse(conn, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatalf("%v after %q", err, body)
	}
	return got, string(body)
}

// rawImmich returns the URL of a server that reads the head of a request from each connection, and then calls treat.
func rawImmich(t *testing.T, treat func(conn net.Conn, request *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				request := bufio.NewReader(conn)
				for {
					line, err := request.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						break
					}
				}
				treat(conn, request)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestRefusalIsReadWithoutWaiting has clients that announce Expect: 100-continue and do not wait: net/http would reset their
// connections. (Go's client waits only if ExpectContinueTimeout is set.)
func TestRefusalIsReadWithoutWaiting(t *testing.T) {
	t.Parallel()
	const tries, size = 40, 32 << 20
	a := open(t, unchanged)
	lost := 0
	for range tries {
		client := &http.Client{Transport: protocols["HTTP/1.1"](t), Timeout: patience}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url("/api/assets"), fakeimmich.Content(size))
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = size
		request.Header.Set("Expect", "100-continue")
		response, err := client.Do(request)
		if err != nil {
			lost++
			t.Log(err)
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d are lost", lost, tries)
	}
}

// TestImmichEndsDuringUpload wants an immediate, complete 502, whether or not the client keeps sending.
func TestImmichEndsDuringUpload(t *testing.T) {
	t.Parallel()
	dies := rawImmich(t, func(_ net.Conn, request *bufio.Reader) { _, _ = io.CopyN(io.Discard, request, 5) })
	onEachProtocol(t, func(t *testing.T, protocol string, client *http.Client) {
		a := open(t, func(s *config.Settings) { s.Upstreams, s.Log.Access = []string{dies}, true })
		for name, length := range map[string]int64{"known length": moreThanBuffers, "unknown length": -1} {
			for how, rest := range map[string]int64{"the client pauses": 0, "the client sends": moreThanBuffers} {
				t.Run(name+", "+how, func(t *testing.T) {
					paused, writer := io.Pipe()
					request := newRequest(t, http.MethodPost, a.url("/api/assets"), io.MultiReader(strings.NewReader("--x\r\n"), fakeimmich.Content(rest), paused))
					request.ContentLength = length
					begin := time.Now()
					response, err := client.Do(request)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(response.Body)
					_ = writer.Close()
					_ = response.Body.Close()
					if want := `{"message":"Immich closed the connection","error":"Bad Gateway","statusCode":502}`; err != nil || string(body) != want {
						t.Errorf("%s, %v", body, err)
					}
					if response.ContentLength != int64(len(body)) {
						t.Errorf("Content-Length: %d", response.ContentLength)
					}
					t.Logf("%s: %v", protocol, time.Since(begin))
				})
			}
		}
		a.log.Await(t, `status=502`)
		a.log.Await(t, `aborted=upstream`)
	})
}

// TestResponseEndsWhenImmichClosesTheConnection has a client that waits, in the middle of its upload, for a response that has
// begun.
func TestResponseEndsWhenImmichClosesTheConnection(t *testing.T) {
	t.Parallel()
	dies := rawImmich(t, func(conn net.Conn, _ *bufio.Reader) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning")
	})
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, func(s *config.Settings) { s.Upstreams, s.Log.Access = []string{dies}, true })
		response, err := client.Do(newRequest(t, http.MethodPost, a.url("/"), beginning()))
		if err == nil { // else, on HTTP/3, the reset has overtaken the response
			_, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}
		var timeout net.Error
		if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("it ends with %v", err)
		}
		a.log.Await(t, "status=200")
		a.log.Await(t, "aborted=upstream")
	})
}

// TestEarlyResponseWithoutLengthEnds has a client that sends no more until it has seen the end of the response.
func TestEarlyResponseWithoutLengthEnds(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		s.Upstreams = []string{rawImmich(t, func(conn net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n")
		})}
	})
	conn := a.dial(t, "http/1.1")
	request(t, conn, "POST /api/assets", "Content-Length: 1000000")
	_, _ = io.WriteString(conn, "--x\r\n")
	got, body := response(t, bufio.NewReader(conn), http.MethodPost)
	if got.StatusCode != http.StatusUnauthorized || body != "no!" || !got.Close {
		t.Errorf("%s %q, close: %v", got.Status, body, got.Close)
	}
}

// TestEarlyResponseThatClosesSaysSo has clients that have sent nothing of their body when they get a response, and so may not
// send it at all. They must not reuse the connection.
func TestEarlyResponseThatClosesSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		upstream string
		headers  []string
		status   int
	}{
		"nothing listens":         {"http://" + unusedAddress, []string{"Content-Length: 100"}, http.StatusBadGateway},
		"nothing listens, chunks": {"http://" + unusedAddress, []string{"Transfer-Encoding: chunked"}, http.StatusBadGateway},
		"answer instead of 100 Continue": {rawImmich(t, func(conn net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		}), []string{"Content-Length: 100", "Expect: 100-continue"}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := open(t, func(s *config.Settings) { s.Upstreams = []string{c.upstream} })
			conn := a.dial(t, "http/1.1")
			request(t, conn, "POST /api/assets", c.headers...)
			reader := bufio.NewReader(conn)
			got, _ := response(t, reader, http.MethodPost)
			if got.StatusCode != c.status || !got.Close {
				t.Errorf("%s, close: %v", got.Status, got.Close)
			}
			// The server does not wait for the body, either.
			if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

func TestMalformedChunkIsTheClients(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]string{
		"length":    "no length\r\n",
		"line end":  "3\r\nabcdef",
		"long line": strings.Repeat("1", 1<<13),
		"trailer":   "0\r\nno colon\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := open(t, func(s *config.Settings) { s.Log.Access = true })
			conn := a.dial(t, "http/1.1")
			request(t, conn, "POST /api/users/profile-image", "Content-Type: multipart/form-data; boundary=x", "Transfer-Encoding: chunked")
			_, _ = io.WriteString(conn, "5\r\n--x\r\n\r\n"+broken+strings.Repeat("x", 1<<12))
			reader := bufio.NewReader(conn)
			got, body := response(t, reader, http.MethodPost)
			if want := `{"message":"The request body is malformed","error":"Bad Request","statusCode":400}`; body != want || !got.Close {
				t.Errorf("%s, close: %v", body, got.Close)
			}
			if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
				t.Errorf("what follows is %q, %v", rest, err)
			}
			a.log.Await(t, "status=400")
			if uploads := a.immich.Uploads(); len(uploads) > 0 && uploads[0].Complete {
				t.Error("Immich takes the upload for complete")
			}
		})
	}
}

// TestInvalidResponses wants 502 for them, not a closed connection.
func TestInvalidResponses(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"status 099":            "HTTP/1.1 099 Too Low\r\nContent-Length: 0\r\n\r\n",
		"status 000":            "HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n",
		"status of letters":     "HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
		"no HTTP":               "hello\r\n\r\n",
		"half a head":           "HTTP/1.1 200 OK\r\nContent-",
		"unasked-for upgrade":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"negative length":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"interim answers only":  strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 3),
		"interim, then broken":  "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 099 Too Low\r\n\r\n",
		"unknown coding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: snail\r\n\r\n",
		"header without a name": "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
		"newline in a header":   "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := rawImmich(t, func(conn net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(conn, answer) })
			onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
				a := open(t, func(s *config.Settings) { s.Upstreams = []string{url} })
				if status, body := get(t, client, a.url("/")); status != http.StatusBadGateway || !strings.Contains(body, `"statusCode":502`) {
					t.Errorf("%d %s", status, body)
				}
			})
		})
	}
}

// TestUploadDoesNotSwitchProtocols sends uploads with Upgrade to an Immich that switches protocols nevertheless.
func TestUploadDoesNotSwitchProtocols(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][2]string{
		"known length": {"Content-Length: 2", "{}"},
		"chunked":      {"Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			switching := rawImmich(t, func(conn net.Conn, request *bufio.Reader) {
				_, _ = io.CopyN(io.Discard, request, int64(len(body[1])))
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				_, err := request.ReadByte()
				ended <- err
			})
			a := open(t, func(s *config.Settings) { s.Upstreams = []string{switching} })
			conn := a.dial(t, "http/1.1")
			request(t, conn, "POST /api/assets", "Connection: Upgrade", "Upgrade: websocket", body[0])
			_, _ = io.WriteString(conn, body[1])
			if got, text := response(t, bufio.NewReader(conn), http.MethodPost); got.StatusCode != http.StatusBadGateway {
				t.Fatalf("%s %q", got.Status, text)
			}
			a.log.Await(t, "it switches protocols without being asked")
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("the connection to Immich: %v", err)
			}
		})
	}
}

// early responds with 200 before the body, and then reads all of it.
func early(conn net.Conn, request *bufio.Reader) {
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	_, _ = io.Copy(io.Discard, request)
}

// TestDrainIsBounded keeps sending after an early response.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<10, strings.Repeat("x", 1<<10))
	const limit = 1 << 20
	begin := func(t *testing.T) (opened, net.Conn, *bufio.Reader) {
		t.Helper()
		a := open(t, func(s *config.Settings) {
			s.Upstreams, s.Access.MaxUploadSize = []string{rawImmich(t, early)}, fmt.Sprint(limit)
			s.Timeouts.Idle = types.Duration(2 * time.Second)
		})
		conn := a.dial(t, "http/1.1")
		request(t, conn, "POST /api/assets", "Transfer-Encoding: chunked")
		_, _ = io.WriteString(conn, chunk)
		reader := bufio.NewReader(conn)
		if got, body := response(t, reader, http.MethodPost); body != "ok" || got.Close {
			t.Fatalf("%q, close: %v", body, got.Close)
		}
		return a, conn, reader
	}

	t.Run("as much as allowed", func(t *testing.T) {
		t.Parallel()
		_, conn, reader := begin(t)
		for range limit>>10 - 1 {
			if _, err := io.WriteString(conn, chunk); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = io.WriteString(conn, "0\r\n\r\n")
		request(t, conn, "GET /")
		if _, body := response(t, reader, http.MethodGet); body != "ok" {
			t.Errorf("the connection can't be reused: %q", body)
		}
	})
	t.Run("more than allowed", func(t *testing.T) {
		t.Parallel()
		a, conn, _ := begin(t)
		const tooMuch = 256 * limit
		sent := 0
		for ; sent < tooMuch; sent += len(chunk) {
			if _, err := io.WriteString(conn, chunk); err != nil {
				break
			}
		}
		waitFor(t, "the request to end", func() bool { return a.tracker.Running() == 0 })
		if received := a.tracker.Received(); sent >= tooMuch || received > limit+1<<16 {
			t.Errorf("%d bytes were sent, %d received", sent, received)
		}
	})
	t.Run("nothing more is sent", func(t *testing.T) {
		t.Parallel()
		_, _, reader := begin(t)
		if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// TestOldWriteDeadlineIsGone waits, between two requests and during the second, for longer than timeouts.idle.
func TestOldWriteDeadlineIsGone(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) { s.Timeouts.Idle = types.Duration(500 * time.Millisecond) })
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		for range 2 {
			if status, body := get(t, client, a.url("/api/server/slow?delay=700ms")); status != http.StatusOK || !strings.Contains(body, "pong") {
				t.Errorf("%d %s", status, body)
			}
		}
	})
}

// TestPipelinedRequestAfterRefusal sends a request that is part of the refused body, or follows it: it gets no response.
func TestPipelinedRequestAfterRefusal(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	conn := a.dial(t, "http/1.1")
	_, _ = io.WriteString(conn, "POST /api/assets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n--x\r\n")
	request(t, conn, "GET /api/server/ping")
	reader := bufio.NewReader(conn)
	if got, _ := response(t, reader, http.MethodPost); got.StatusCode != http.StatusForbidden || !got.Close {
		t.Errorf("%s, close: %v", got.Status, got.Close)
	}
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if a.immich.Requests() != 0 {
		t.Error("it has reached Immich")
	}
}

// TestRefusedClientHoldsNoConnection has a client that neither sends its body nor closes the connection.
func TestRefusedClientHoldsNoConnection(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	for _, framing := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		conn, err := (&tls.Dialer{Config: trusting("http/1.1")}).DialContext(t.Context(), "tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "POST /api/assets HTTP/1.1\r\nHost: localhost\r\n"+framing+"\r\n\r\n")
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403 ") {
			t.Errorf("%s: %q, %v", framing, answer, err)
		}
		_ = conn.Close()
	}
}

// TestWhoEndedATransfer checks the log and the metrics after incomplete transfers.
func TestWhoEndedATransfer(t *testing.T) {
	t.Parallel()
	breaksOff := func(conn net.Conn, _ *bufio.Reader) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nthe beginning")
	}
	hangs := func(conn net.Conn, request *bufio.Reader) {
		breaksOff(conn, request)
		_, _ = io.Copy(io.Discard, request)
	}
	begin := func(t *testing.T, client *http.Client, request *http.Request) *http.Response {
		t.Helper()
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadFull(response.Body, make([]byte, len("the beginning")))
		if err != nil {
			t.Error(err)
		}
		return response
	}
	download := func(t *testing.T, a opened, client *http.Client) *http.Response {
		t.Helper()
		return begin(t, client, newRequest(t, http.MethodGet, a.url("/"), nil))
	}
	for name, c := range map[string]struct {
		immich func(conn net.Conn, request *bufio.Reader)
		change func(*config.Settings)
		cut    func(t *testing.T, a opened, client *http.Client)
		status int
		cause  string
	}{
		"the client disconnects": {hangs, unchanged, func(t *testing.T, a opened, client *http.Client) {
			_ = download(t, a, client).Body.Close()
		}, 200, "client"},
		"Immich sends nothing": {hangs, shortIdle, func(t *testing.T, a opened, client *http.Client) {
			response := download(t, a, client)
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}, 200, "timeout"},
		"the client sends nothing": {nil, shortIdle, func(t *testing.T, a opened, client *http.Client) {
			_, _ = send(t, client, http.MethodPost, a.url("/api/users/profile-image"), beginning())
		}, 408, "timeout"},
		"the upload is too large, and the response has begun": {hangs, func(s *config.Settings) { s.Access.MaxUploadSize = "64k" },
			func(t *testing.T, a opened, client *http.Client) {
				body, writer := io.Pipe()
				defer func() { _ = writer.Close() }()
				response := begin(t, client, newRequest(t, http.MethodPost, a.url("/"), body))
				_, _ = io.Copy(writer, io.LimitReader(fakeimmich.Content(moreThanBuffers), 128<<10))
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}, 200, "limit"},
		"shutdown": {hangs, unchanged, func(t *testing.T, a opened, client *http.Client) {
			response := download(t, a, client)
			a.Close()
			_ = response.Body.Close()
		}, 200, "shutdown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
				a := open(t, func(s *config.Settings) {
					c.change(s)
					s.Log.Access = true
					if c.immich != nil {
						s.Upstreams = []string{rawImmich(t, c.immich)}
					}
				})
				c.cut(t, a, client)
				a.log.Await(t, fmt.Sprintf("status=%d ", c.status))
				a.log.Await(t, "aborted="+c.cause)
				want := fmt.Sprintf(`immichaccess_requests_total{status="%d",key="phone",listener="https",aborted=%q} 1`, c.status, c.cause)
				waitFor(t, want, func() bool { return strings.Contains(a.metrics(), want) })
			})
		})
	}
}

// metrics calls the handler directly, so that it works after a shutdown.
func (o opened) metrics() string {
	recorder := httptest.NewRecorder()
	o.admin.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return recorder.Body.String()
}

// TestEarlyAnsweredUploadIsWhole has a client that disconnects when it has the response, as most do.
func TestEarlyAnsweredUploadIsWhole(t *testing.T) {
	t.Parallel()
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, func(s *config.Settings) { s.Log.Access, s.Upstreams = true, []string{rawImmich(t, early)} })
		body, writer := io.Pipe()
		go func() { _, _ = io.WriteString(writer, "--x\r\n") }()
		request := newRequest(t, http.MethodPost, a.url("/"), body)
		request.ContentLength = 1 << 20
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(response.Body); err != nil || string(text) != "ok" {
			t.Errorf("%q, %v", text, err)
		}
		_ = writer.CloseWithError(errors.New("it leaves"))
		_ = response.Body.Close()
		a.log.Await(t, `aborted=""`)
	})
}
