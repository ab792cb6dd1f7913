package app

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/traefik/paerser/types"
)

// http2Begins is the preface of a client, with its SETTINGS.
const http2Begins = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

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

func readUntil(t *testing.T, conn io.Reader, wanted byte) {
	t.Helper()
	for {
		if kind, _ := readFrame(t, conn); kind == wanted {
			return
		}
	}
}
