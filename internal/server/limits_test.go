package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/testlog"
	"github.com/quic-go/quic-go/http3"
)

// TestHeadTimeout ends what does not ask, or not to the end.
func TestHeadTimeout(t *testing.T) {
	t.Parallel()
	s := serve(t, headerTimeout(time.Second))
	const get, https, root = "\x82", "\x87", "\x84"
	const endStream, endOfAll = 1, 5
	whole := http2Frame(frameHeaders, endOfAll, get+https+root+"\x01\x09localhost")
	for name, c := range map[string]struct{ protocol, said string }{
		"HTTP/1.1, nothing":                        {"http/1.1", ""},
		"HTTP/1.1, half a head":                    {"http/1.1", "GET / HTTP/1.1\r\n"},
		"HTTP/1.1, half a second head":             {"http/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n"},
		"HTTP/2, nothing but a beginning":          {"h2", http2Begins},
		"HTTP/2, without END_HEADERS":              {"h2", http2Begins + http2Frame(frameHeaders, endStream, get+https)},
		"HTTP/2, half a frame":                     {"h2", http2Begins + whole[:len(whole)-3]},
		"HTTP/2, a second without END_HEADERS":     {"h2", http2Begins + whole + strings.Replace(http2Frame(frameHeaders, endStream, get+https), "\x00\x00\x00\x01", "\x00\x00\x00\x03", 1)},
		"HTTP/2, CONTINUATION without an end":      {"h2", http2Begins + http2Frame(frameHeaders, endStream, get) + http2Frame(frameContinuation, 0, https)},
		"HTTP/2, pings instead of a first request": {"h2", http2Begins + strings.Replace(http2Frame(6, 0, "12345678"), "\x00\x00\x00\x01", "\x00\x00\x00\x00", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := s.dial(t, c.protocol)
			if _, err := io.WriteString(conn, c.said); err != nil {
				t.Fatal(err)
			}
			ends(t, conn)
		})
	}
	t.Run("no TLS", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(patience))
		ends(t, conn)
	})
	t.Run("HTTP/3, nothing", func(t *testing.T) {
		t.Parallel()
		select {
		case <-s.dialQUIC(t).Context().Done():
		case <-time.After(patience):
			t.Error("the connection stays")
		}
	})
	t.Run("HTTP/3, half a head", func(t *testing.T) {
		t.Parallel()
		stream, err := s.dialQUIC(t).OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SetDeadline(time.Now().Add(patience))
		_, _ = stream.Write([]byte{frameHeaders, 40, 0, 0})
		ends(t, stream)
	})
}

func TestHeadsUpTo32KB(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	for protocol := range clients(t) {
		for size, want := range map[int]int{31 << 10: http.StatusOK, 33 << 10: http.StatusRequestHeaderFieldsTooLarge, 200 << 10: http.StatusRequestHeaderFieldsTooLarge} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Filling", strings.Repeat("a", size))
			client := clients(t)[protocol] // with connections of its own: one that was refused is closed
			response, err := client.Do(request)
			if err != nil && size > 100<<10 {
				continue // closed while the client still sends, or refused by the client itself, which knows the limit
			}
			if err != nil {
				if want != http.StatusOK && protocol != "HTTP/1.1" && strings.Contains(err.Error(), "larger") {
					continue
				}
				if want != http.StatusOK && protocol == "HTTP/2" && strings.Contains(err.Error(), "COMPRESSION_ERROR") {
					continue // net/http has skipped some of the head, and closes the connection, at times before its 431 is read
				}
				t.Errorf("%s with %d bytes: %v", protocol, size, err)
				continue
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s with %d bytes: %s", protocol, size, response.Status)
			}
		}
	}
}

func TestHundredRequestsAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, func(*config.Settings) {})
	for protocol, client := range clients(t) {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address+"/", nil)
				request.Header.Set("Cookie", strings.Repeat("c", 4<<10))
				response, err := client.Do(request)
				if err != nil {
					t.Errorf("%s: %v", protocol, err)
					return
				}
				defer func() { _ = response.Body.Close() }()
				if body, err := io.ReadAll(response.Body); err != nil || string(body) != "let in" {
					t.Errorf("%s: %q, %v", protocol, body, err)
				}
			})
		}
		all.Wait()
	}
}

// TestConnectionLimits has those that only wait make room, and says so once.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for option, change := range map[string]func(*config.Limits){
		"limits.connections":          func(l *config.Limits) { l.Connections = 3 },
		"limits.connectionsPerClient": func(l *config.Limits) { l.ConnectionsPerClient = 3 },
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(s *config.Settings) { change(&s.Limits) })
			first := s.dial(t, "http/1.1")
			overQUIC := s.dialQUIC(t)
			s.dial(t, "h2")
			s.dial(t, "h2")
			ends(t, first)
			s.dial(t, "http/1.1")
			select {
			case <-overQUIC.Context().Done():
			case <-time.After(patience):
				t.Error("the connection of QUIC stays")
			}
			if n := strings.Count(s.log.String(), option); n != 1 {
				t.Errorf("the log tells of it %d times: %s", n, s.log)
			}
		})
	}
}

func TestLimitCountsWhatIsOpen(t *testing.T) {
	t.Parallel()
	s := serve(t, func(s *config.Settings) { s.Limits.Connections = 2 })
	for protocol, client := range clients(t) {
		for range 5 {
			response, err := client.Get("https://" + s.address + "/")
			if err != nil {
				t.Fatalf("%s: %v", protocol, err)
			}
			_ = response.Body.Close()
			client.CloseIdleConnections()
		}
	}
	waitFor(t, "the connections to be forgotten", func() bool {
		s.limiter.mu.Lock()
		defer s.limiter.mu.Unlock()
		return len(s.limiter.conns) <= 1 && s.limiter.unasked == 0 // HTTP/3's stays for its client
	})
}

// TestNewcomersKeepTheirConnections fills a proxy with the connections of others. A client whose handshake takes a while is not the
// next to be closed.
func TestNewcomersKeepTheirConnections(t *testing.T) {
	t.Parallel()
	const limit = 4
	for name, others := range map[string]func(*testing.T, served){
		"idle after a refusal, HTTP/1.1":     func(t *testing.T, s served) { idleConn(t, s, "/") },
		"idle after a refusal, HTTP/3":       idleQUIC,
		"who don't accept a refusal, HTTP/2": unreadHTTP2,
		"in the middle of a later head":      func(t *testing.T, s served) { _, _ = io.WriteString(idleConn(t, s, "/"), "GET ") },
		"idle after a forwarded request":     func(t *testing.T, s served) { idleConn(t, s, "/forwarded") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(s *config.Settings) {
				s.Limits.ConnectionsPerClient = limit
				s.Timeouts.KeepAlive = s.Timeouts.Header
			})
			for range limit {
				others(t, s)
			}
			newcomer, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = newcomer.Close() }()
			_ = newcomer.SetDeadline(time.Now().Add(patience))
			for range limit - 1 {
				s.dial(t, "http/1.1")
			}
			requestOver(t, tls.Client(newcomer, trusting("http/1.1")), "/")
		})
	}
}

// idleConn returns a connection of HTTP/1.1 after a request.
func idleConn(t *testing.T, s served, path string) net.Conn {
	t.Helper()
	conn := s.dial(t, "http/1.1")
	requestOver(t, conn, path)
	waitFor(t, "the connection to be idle", s.isIdle)
	return conn
}

func requestOver(t *testing.T, conn net.Conn, path string) {
	t.Helper()
	_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	readUntil(t, conn, "let in")
}

func idleQUIC(t *testing.T, s served) {
	t.Helper()
	transport := &http3.Transport{TLSClientConfig: trusting()}
	t.Cleanup(func() { _ = transport.Close() })
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + s.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	waitFor(t, "the connection to be idle", s.isIdle)
}

// unreadHTTP2 leaves no room for a response, so that it does not end.
func unreadHTTP2(t *testing.T, s served) {
	t.Helper()
	conn := s.dial(t, "h2")
	const initialWindow = "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x00\x00\x00\x00"
	const get, https, root = "\x82", "\x87", "\x84"
	const endOfAll = 5
	_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+initialWindow+http2Frame(frameHeaders, endOfAll, get+https+root+"\x01\x09localhost"))
	readUntil(t, conn, "\x01\x04\x00\x00\x00\x01") // HEADERS of the response
}

// TestWhoMakesRoom closes one connection after another.
func TestWhoMakesRoom(t *testing.T) {
	t.Parallel()
	timeouts := config.Defaults().Timeouts // 30 seconds for a head, 10 minutes between requests
	l := newConnLimiter(config.Limits{}, &timeouts, slogDiscard())
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	closed := make(chan string)
	for name, set := range map[string]func(*trackedConn){
		"idle for long after a forwarded request": func(c *trackedConn) { c.idleSince = ago(9 * time.Minute); c.forwarded.Store(true) },
		"stranger with a new head": func(c *trackedConn) {
			c.opened, c.asked, c.head, c.headSince = ago(20*time.Second), true, 1, ago(0)
		},
		"stranger idle since now":    func(c *trackedConn) { c.opened, c.asked, c.idleSince = ago(19*time.Second), true, ago(0) },
		"stranger without a request": func(c *trackedConn) { c.opened = ago(18 * time.Second) },
		"stranger being refused":     func(c *trackedConn) { c.opened, c.asked, c.running = ago(17*time.Second), true, true },
		"idle after a forwarded request": func(c *trackedConn) {
			c.opened, c.asked, c.idleSince = ago(time.Hour), true, ago(5*time.Minute)
			c.forwarded.Store(true)
		},
		"head after a forwarded request": func(c *trackedConn) {
			c.opened, c.asked, c.head, c.idleSince, c.headSince = ago(time.Hour), true, 1, ago(9*time.Minute), ago(10*time.Second)
			c.forwarded.Store(true)
		},
		"newcomer": func(c *trackedConn) { c.opened = ago(time.Second) },
		"serving": func(c *trackedConn) {
			c.opened, c.asked, c.running = ago(time.Hour), true, true
			c.forwarded.Store(true)
		},
		"QUIC handshake": func(c *trackedConn) { c.opened, c.close = ago(time.Minute), nil },
	} {
		c := l.admit(textAddress("192.0.2.1:80"), func() { closed <- name })
		set(c)
	}
	for i, want := range []string{
		"idle for long after a forwarded request", "stranger with a new head", "stranger idle since now", "stranger without a request",
		"stranger being refused", "idle after a forwarded request", "head after a forwarded request", "newcomer",
	} {
		if !l.makeRoom(l.conns) {
			t.Fatalf("number %d is not closed", i)
		}
		if got := <-closed; got != want {
			t.Errorf("number %d is %q, want %q", i, got, want)
		}
	}
	if l.makeRoom(l.conns) {
		t.Errorf("closed: %s", <-closed)
	}
}

func TestRunningRequestsAreNotClosedForOthers(t *testing.T) {
	t.Parallel()
	l := newConnLimiter(config.Limits{Connections: 1}, &config.Defaults().Timeouts, slogDiscard())
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	running := l.admit(address, func() { t.Error("it was closed") })
	running.HasAsked()
	running.Serving(true)
	running.forwarded.Store(true)
	if l.admit(address, func() {}) != nil {
		t.Error("there is no room, and somebody comes in")
	}
	running.release()
	if l.admit(address, func() {}) == nil {
		t.Error("there is room, and nobody comes in")
	}
}

func TestClientsAreAddressesOrPrefixes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1/32",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":         "fe80::/64",
	} {
		if got := clientPrefix(textAddress(text)).String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

type textAddress string

func (textAddress) Network() string  { return "tcp" }
func (a textAddress) String() string { return string(a) }

// failingListener runs out of descriptors once.
type failingListener struct {
	net.Listener

	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

func (l *failingListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

func TestErrorsOfListenersAreErrorsInTheLog(t *testing.T) {
	t.Parallel()
	log := &testlog.Log{}
	rare := newRareLog(slogTo(log))
	limiter := newConnLimiter(config.Limits{}, &config.Defaults().Timeouts, slogTo(log))
	closed := make(chan struct{})
	limiter.admit(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, func() { close(closed) })
	l := &limitedListener{Listener: &failingListener{failures: 3}, name: "HTTPS", limiter: limiter, log: rare}
	for {
		if _, err := l.Accept(); errors.Is(err, net.ErrClosed) {
			break
		}
	}
	if said := log.String(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "too many open files") {
		t.Errorf("the log says %q", said)
	}
	<-closed // who waits makes room
}

func TestAbandonedHandshakesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHandshakes(newRareLog(slogDiscard()))
	address := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}
	var begun []*handshake
	for range maxHandshakesPerClient {
		begun = append(begun, h.begin(address))
	}
	if !h.areMany(address) || h.begin(address) != nil {
		t.Error("one client may begin any number")
	}
	if other := h.begin(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 2)}); other == nil {
		t.Error("another may not begin any")
	} else {
		other.end()
	}
	for _, one := range begun {
		one.end()
		one.end() // as the context does that ends later
	}
	if h.count != 0 || len(h.clients) != 0 || h.areMany(address) {
		t.Errorf("%d are left", h.count)
	}
}
