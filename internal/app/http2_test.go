package app

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/traefik/paerser/types"
	"golang.org/x/net/http2/hpack"
)

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// http2Begins is the preface of a client, with its SETTINGS.
const http2Begins = http2Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

func http2Frame(kind, flags, stream byte, payload string) string {
	size := len(payload)
	return string([]byte{byte(size >> 16), byte(size >> 8), byte(size), kind, flags, 0, 0, 0, stream}) + payload
}

// http2Head returns the head of a GET request with the key.
func http2Head(t *testing.T, path string) string {
	t.Helper()
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "localhost"}, {Name: ":path", Value: path},
		{Name: "x-access-key", Value: key},
	} {
		if err := encoder.WriteField(field); err != nil {
			t.Fatal(err)
		}
	}
	return block.String()
}

func TestHTTP2WithoutPrefaceEnds(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{
		"nothing":        "",
		"half a preface": "PRI * HTTP/2.0\r\n\r\nSM",
		"HTTP/1.1":       "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := open(t, func(s *config.Settings) { s.Timeouts.Header = types.Duration(time.Second) })
			conn := a.dial(t, "h2")
			if _, err := io.WriteString(conn, said); err != nil {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 {
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
}

func TestHTTP2NeedsTLS(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) { s.Listen.HTTP = "127.0.0.1:0" })
	for name, begin := range map[string]func(t *testing.T) net.Conn{
		"plain HTTP":           func(t *testing.T) net.Conn { t.Helper(); return dial(t, &net.Dialer{}, a.listeners.HTTP.Addr()) },
		"TLS with HTTP/1.1":    func(t *testing.T) net.Conn { t.Helper(); return a.dial(t, "http/1.1") },
		"TLS without protocol": func(t *testing.T) net.Conn { t.Helper(); return a.dial(t) },
	} {
		for _, said := range []string{
			http2Begins,
			"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conn := begin(t)
				if _, err := io.WriteString(conn, said); err != nil {
					t.Fatal(err)
				}
				status := make([]byte, len("HTTP/1.1 403"))
				_, err := io.ReadFull(conn, status)
				if answer := string(status); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 ") || strings.HasSuffix(answer, "101") {
					t.Errorf("%q is answered with %q, %v", said, answer, err)
				}
			})
		}
	}
}

// TestHTTP2SendsGoAway waits for GOAWAY, and for the end of a connection without requests.
func TestHTTP2SendsGoAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*config.Settings)
		then   func(a opened) error
	}{
		"when idle": {
			change: func(s *config.Settings) { s.Timeouts.KeepAlive = types.Duration(time.Second) },
			then:   func(opened) error { return nil },
		},
		"when stopped": {
			change: unchanged,
			then:   func(a opened) error { return a.Stop(context.Background()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := open(t, c.change)
			conn := a.dial(t, "h2")
			if _, err := io.WriteString(conn, http2Begins); err != nil {
				t.Fatal(err)
			}
			readUntil(t, conn, 4) // SETTINGS: the connection is established
			ended := make(chan error, 1)
			go func() { ended <- c.then(a) }()
			readUntil(t, conn, 7) // GOAWAY
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("the connection stays: %v", err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHTTP2FramesAreThoseThatClientsAccept downloads with a client that says nothing of their size, and with one that does.
func TestHTTP2FramesAreThoseThatClientsAccept(t *testing.T) {
	t.Parallel()
	const (
		accepted = 16 << 10 // RFC 9113, section 4.2
		size     = 1 << 20
		window   = "\x00\x04\x00\x20\x00\x00" // 2 MB
	)
	a := open(t, unchanged)
	for name, settings := range map[string]string{"nothing": window, "the smallest": "\x00\x05\x00\x00\x40\x00" + window, "the largest": window + "\x00\x05\x00\xff\xff\xff"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := a.dial(t, "h2")
			head := http2Head(t, "/api/assets/1/original?size="+strconv.Itoa(size))
			_, err := io.WriteString(conn, http2Preface+http2Frame(4, 0, 0, settings)+http2Frame(8, 0, 0, "\x00\x20\x00\x00")+http2Frame(1, 5, 1, head))
			if err != nil {
				t.Fatal(err)
			}
			received, frames := 0, 0
			for received < size {
				kind, payload := readFrame(t, conn)
				if len(payload) > accepted {
					t.Fatalf("a frame of type %d has %d bytes", kind, len(payload))
				}
				if kind == 0 {
					received += len(payload)
					frames++
				}
			}
			if received != size || frames > 2*size/accepted {
				t.Errorf("%d bytes in %d frames", received, frames)
			}
		})
	}
}

func readUntil(t *testing.T, conn io.Reader, wanted byte) {
	t.Helper()
	for {
		if kind, _ := readFrame(t, conn); kind == wanted {
			return
		}
	}
}
