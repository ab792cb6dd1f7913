package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/readiness"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

const (
	upgrade = "GET /api/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	// switching has no Sec-WebSocket-Accept, which is for the client to check.
	switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)

// readyListener accepts connections that can wait without a buffer, as the proxy's do.
type readyListener struct{ net.Listener }

func (l readyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return readiness.New(conn), nil
}

// server is one that WebSockets can be opened on.
type server struct {
	address string
	tls     bool
	ended   chan transfer.Entry
}

func serve(t *testing.T, handler http.Handler, withTLS bool) *server {
	t.Helper()
	s := &server{tls: withTLS, ended: make(chan transfer.Entry, 100)}
	tracked := transfer.Handler(&transfer.Tracker{}, time.Hour, func(e transfer.Entry) { s.ended <- e }, handler)
	h := httptest.NewUnstartedServer(tracked)
	h.Listener = readyListener{h.Listener}
	if withTLS {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	s.address = h.Listener.Addr().String()
	return s
}

func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if s.tls {
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	return conn
}

// onEachServer runs a test with a server that uses the forwarder and one that uses httputil.ReverseProxy alone, with and without TLS.
// The two have to return the same.
func onEachServer(t *testing.T, upstream func(conn net.Conn, n int) bool, converse func(t *testing.T, u *rawUpstream, s *server) string) {
	t.Helper()
	for _, withTLS := range []bool{false, true} {
		u := startUpstream(t, upstream)
		f := newProxy(t, u.url).Handler.(*forwarder)
		got := converse(t, u, serve(t, f, withTLS))
		if want := converse(t, u, serve(t, f.withoutType(), withTLS)); got != want {
			t.Errorf("TLS: %t\n%.2000s\ninstead of\n%.2000s", withTLS, got, want)
		}
	}
}

// TestUpgradesAreThoseOfReverseProxy compares what the client receives in response to the request for a WebSocket.
func TestUpgradesAreThoseOfReverseProxy(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"accepted":               switching,
		"headers":                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nConnection: keep-alive, Upgrade\r\nKeep-Alive: timeout=5\r\nDate: x\r\n\r\n",
		"early frames":           switching + "frames",
		"many early frames":      switching + strings.Repeat("frames", 5000),
		"another reason":         "HTTP/1.1 101 As You Like\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes",
		"HTTP/1.0":               "HTTP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes",
		"capitals":               "HTTP/1.1 101 Switching Protocols\r\nConnection: UPGRADE\r\nUpgrade: WebSocket\r\n\r\nframes",
		"with a length":          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nframes",
		"with chunks":            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"after early hints":      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switching + "frames",
		"after continue":         "HTTP/1.1 100 Continue\r\n\r\n" + switching + "frames",
		"and another head":       switching + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"another protocol":       "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nframes",
		"two protocols":          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\nframes",
		"no protocol":            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\nframes",
		"no Connection":          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframes",
		"unprintable":            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websoc\u212aet\r\n\r\nframes",
		"refused":                "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
		"refused with Upgrade":   "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nno",
		"refused in chunks":      "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n0\r\n\r\n",
		"answered":               "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nnothing to switch to",
		"half a head":            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upg",
		"not HTTP":               "SSH-2.0-OpenSSH\r\n\r\n",
		"nothing":                "",
		"an endless head":        "HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", maxResponseHead),
		"interim without an end": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			write := func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, answer)
				return false
			}
			onEachServer(t, write, func(t *testing.T, _ *rawUpstream, s *server) string {
				conn := s.dial(t)
				_, _ = io.WriteString(conn, strings.Replace(upgrade, "Connection: ", "Connection: close, ", 1))
				answer, err := io.ReadAll(conn)
				_ = conn.Close()
				return fmt.Sprintf("%s %v %v", sortHead(string(answer)), err, (<-s.ended).Status)
			})
		})
	}
}

// TestUpgradeRequestsAreThoseOfReverseProxy compares what Immich receives.
func TestUpgradeRequestsAreThoseOfReverseProxy(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"as the app sends it": "GET /api/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUser-Agent: Dart\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\nCache-Control: no-cache\r\n",
		"HEAD":                 "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
		"capitals":             "GET / HTTP/1.1\r\nHost: x\r\nCONNECTION: keep-alive, UPGRADE\r\nUPGRADE: WebSocket\r\n",
		"more of Connection":   "GET / HTTP/1.1\r\nHost: x\r\nConnection: X-One\r\nConnection: upgrade,X-Two\r\nUpgrade: websocket\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n",
		"two protocols":        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
		"two headers":          "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
		"a version":            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade:  a/1 b  \r\n",
		"empty":                "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade:\r\n",
		"without Connection":   "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n",
		"only like Connection": "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrades\r\nUpgrade: websocket\r\n",
		"without Upgrade":      "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n",
		"unprintable":          "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: web\u212aet\r\n",
		"te":                   "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, TE\r\nTE: trailers\r\nUpgrade: websocket\r\n",
		"expect":               "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n",
		"HTTP/1.0":             "GET / HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
		"POST":                 "POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
		"settings of HTTP/2":   "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachServer(t, always(ok), func(t *testing.T, u *rawUpstream, s *server) string {
				conn := s.dial(t)
				_, _ = io.WriteString(conn, head+"\r\n")
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.Close()
				if response.StatusCode != http.StatusOK {
					return response.Status
				}
				return <-u.heads
			})
		})
	}
}

// TestWebSocketsAreForwardedDirectly checks what the comparisons can't: that the forwarder is used.
func TestWebSocketsAreForwardedDirectly(t *testing.T) {
	t.Parallel()
	f := newProxy(t, startUpstream(t, always(switching)).url).Handler.(*forwarder)
	f.general = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it is left to ReverseProxy") })
	conn := serve(t, f, true).dial(t)
	openSocket(t, conn)
	_ = conn.Close()
}

// openSocket returns when the WebSocket is open.
func openSocket(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, upgrade); err != nil {
		t.Fatal(err)
	}
	readSwitch(t, conn)
}

func readSwitch(t *testing.T, conn net.Conn) {
	t.Helper()
	head := make([]byte, len(switching))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != switching {
		t.Fatalf("%q, %v", head, err)
	}
}

// outcome is how reading ends. It does not matter which error it is.
func outcome(text []byte, err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "it does not end"
	}
	return fmt.Sprintf("%q, error: %t", text, err != nil)
}

// TestConversationsAreThoseOfReverseProxy compares what both sides receive, and how they notice that the other one ends.
func TestConversationsAreThoseOfReverseProxy(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	for name, c := range map[string]struct {
		client, upstream func(conn net.Conn) string
	}{
		"the client ends first": {
			func(conn net.Conn) string {
				_, _ = io.WriteString(conn, "from the client")
				_ = transfer.CloseWrite(conn)
				return outcome(io.ReadAll(conn))
			},
			func(conn net.Conn) string {
				received := outcome(io.ReadAll(conn))
				_, _ = io.WriteString(conn, "from Immich")
				_ = conn.Close()
				return received
			},
		},
		"Immich ends first": {
			func(conn net.Conn) string {
				received := outcome(io.ReadAll(conn))
				_, _ = io.WriteString(conn, "from the client")
				_ = transfer.CloseWrite(conn)
				return received
			},
			func(conn net.Conn) string {
				_, _ = io.WriteString(conn, "from Immich")
				_ = transfer.CloseWrite(conn)
				return outcome(io.ReadAll(conn))
			},
		},
		"much both ways": {
			func(conn net.Conn) string { return sendAndReceive(conn, long) },
			func(conn net.Conn) string { return sendAndReceive(conn, long) },
		},
		"the client disconnects": {
			func(conn net.Conn) string {
				_ = conn.Close()
				return ""
			},
			func(conn net.Conn) string { return outcome(io.ReadAll(conn)) },
		},
		"Immich disconnects": {
			func(conn net.Conn) string { return outcome(io.ReadAll(conn)) },
			func(conn net.Conn) string {
				_ = conn.Close()
				return ""
			},
		},
		"the client resets": {
			func(conn net.Conn) string {
				if encrypted, ok := conn.(*tls.Conn); ok {
					conn = encrypted.NetConn()
				}
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
				return ""
			},
			func(conn net.Conn) string { return outcome(io.ReadAll(conn)) },
		},
		"Immich resets": {
			func(conn net.Conn) string { return outcome(io.ReadAll(conn)) },
			func(conn net.Conn) string {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
				return ""
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received := make(chan string, 1)
			talk := func(conn net.Conn, _ int) bool {
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, switching)
				received <- c.upstream(conn)
				return false
			}
			onEachServer(t, talk, func(t *testing.T, _ *rawUpstream, s *server) string {
				conn := s.dial(t)
				openSocket(t, conn)
				byClient := c.client(conn)
				byUpstream := <-received
				_ = conn.Close()
				entry := <-s.ended
				return fmt.Sprintf("client: %s; Immich: %s; %d %s", byClient, byUpstream, entry.Status, entry.Aborted)
			})
		})
	}
}

// sendAndReceive returns when all of content is sent, and all that comes is received.
func sendAndReceive(conn net.Conn, content []byte) string {
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = conn.Write(content)
		_ = transfer.CloseWrite(conn)
	})
	received, err := io.ReadAll(conn)
	sending.Wait()
	return fmt.Sprint(bytes.Equal(received, content), err)
}

// TestHalfClosedWebSocketEnds has a client that sends nothing more, and an Immich that goes on for longer than the idle timeout, and
// then neither sends anything nor closes the connection.
func TestHalfClosedWebSocketEnds(t *testing.T) {
	t.Parallel()
	const idle, pause, messages = time.Second, 100 * time.Millisecond, 15
	u := startUpstream(t, func(conn net.Conn, _ int) bool {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, switching)
		_, _ = io.Copy(io.Discard, conn)
		for range messages {
			time.Sleep(pause)
			_, _ = io.WriteString(conn, "message ")
		}
		time.Sleep(patience)
		return false
	})
	f := newIdleProxy(t, idle, u.url).Handler.(*forwarder)
	for way, handler := range map[string]http.Handler{"forwarder": f, "ReverseProxy": f.withoutType()} {
		for _, withTLS := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS: %t", way, withTLS), func(t *testing.T) {
				t.Parallel()
				s := serve(t, handler, withTLS)
				conn := s.dial(t)
				openSocket(t, conn)
				_ = transfer.CloseWrite(conn)
				if received, err := io.ReadAll(conn); err != nil || string(received) != strings.Repeat("message ", messages) {
					t.Fatalf("%q, %v", received, err)
				}
				if entry := <-s.ended; entry.Aborted != transfer.Timeout {
					t.Errorf("it was ended by %q", entry.Aborted)
				}
			})
		}
	}
}

// TestFramesRightBehindTheRequest are not lost, as they are with ReverseProxy.
func TestFramesRightBehindTheRequest(t *testing.T) {
	t.Parallel()
	const frames = "frames"
	for _, withTLS := range []bool{false, true} {
		requested := make(chan string, 1)
		u := listenOnce(t, func(conn net.Conn) {
			reader := bufio.NewReader(conn)
			if _, err := http.ReadRequest(reader); err != nil {
				t.Error(err)
			}
			early, _ := reader.Peek(reader.Buffered())
			if len(early) > 0 {
				t.Errorf("before it has agreed, Immich gets %q", early)
			}
			_, _ = io.WriteString(conn, switching)
			got := make([]byte, len(frames))
			_, _ = io.ReadFull(reader, got)
			requested <- string(got)
		})
		conn := serve(t, newProxy(t, u), withTLS).dial(t)
		_, _ = io.WriteString(conn, upgrade+frames)
		readSwitch(t, conn)
		if got := <-requested; got != frames {
			t.Errorf("Immich gets %q", got)
		}
		_ = conn.Close()
	}
}

// listenOnce returns the URL of an upstream for one connection.
func listenOnce(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(patience))
		serve(conn)
	}()
	return "http://" + l.Addr().String()
}

// TestRequestBehindARefusedUpgrade is one of its own, and does not reach Immich as a part of the first.
func TestRequestBehindARefusedUpgrade(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, always(ok))
	conn := serve(t, newProxy(t, u.url), false).dial(t)
	_, _ = io.WriteString(conn, upgrade+"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
	reader := bufio.NewReader(conn)
	for range 2 {
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
	}
	first, second := <-u.heads, <-u.heads
	if !strings.Contains(first, "socket.io") || !strings.HasPrefix(second, "GET /second HTTP/1.1\n") {
		t.Errorf("Immich gets\n%s\nand\n%s", first, second)
	}
}

// TestRefusedSwitchFreesImmich closes the connection, which is of no use any more.
func TestRefusedSwitchFreesImmich(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ request, response string }{
		"another protocol":     {upgrade, strings.Replace(switching, "websocket", "h2c", 1)},
		"response of HTTP/1.0": {upgrade, strings.Replace(switching, "HTTP/1.1", "HTTP/1.0", 1)},
		"request of HTTP/1.0":  {strings.Replace(upgrade, "HTTP/1.1", "HTTP/1.0", 1), switching},
		"request with HEAD":    {strings.Replace(upgrade, "GET", "HEAD", 1), switching},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 2)
			refused := func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, c.response)
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				_, err := conn.Read(make([]byte, 1))
				ended <- err
				return false
			}
			onEachServer(t, refused, func(t *testing.T, _ *rawUpstream, s *server) string {
				conn := s.dial(t)
				_, _ = io.WriteString(conn, c.request)
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || response.StatusCode != http.StatusBadGateway {
					t.Fatalf("%v, %v", response, err)
				}
				if err := <-ended; !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				return ""
			})
		})
	}
}

// TestMessagesOfAllSizes sends them to and fro one after another, and many of them at once.
func TestMessagesOfAllSizes(t *testing.T) {
	t.Parallel()
	echo := func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, switching)
		_, _ = io.Copy(struct{ io.Writer }{conn}, conn)
		return false
	}
	for _, withTLS := range []bool{false, true} {
		conn := serve(t, newProxy(t, startUpstream(t, echo).url), withTLS).dial(t)
		openSocket(t, conn)
		var sizes []int
		for size := 1; size < 1<<20; size *= 2 {
			sizes = append(sizes, size, size+rand.IntN(size))
		}
		for _, size := range sizes {
			message := make([]byte, size)
			for i := range message {
				message[i] = byte(rand.Uint32())
			}
			go func() { _, _ = conn.Write(message) }()
			got := make([]byte, size)
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, message) {
				t.Fatalf("TLS: %t, %d bytes come back changed, %v", withTLS, size, err)
			}
		}
		_ = conn.Close()
	}
}

// TestSwitchTakesNoTimeouts opens a WebSocket on which nothing is said for longer than Immich may take to answer a request.
func TestSwitchTakesNoTimeouts(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, switching)
		time.Sleep(2 * time.Second)
		_, _ = io.WriteString(conn, "late")
		return false
	})
	f := newProxy(t, u.url).Handler.(*forwarder)
	f.upstream = time.Second
	conn := serve(t, f, true).dial(t)
	openSocket(t, conn)
	if late, err := io.ReadAll(conn); err != nil || string(late) != "late" {
		t.Errorf("%q, %v", late, err)
	}
}
