package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/certs"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/testlog"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/traefik/paerser/types"
)

const patience = 20 * time.Second

// served is a Server on loopback that answers everything with 200. Only requests for /forwarded count as forwarded.
type served struct {
	*Server

	address string
	log     *testlog.Log
	bodies  chan receivedBody // of requests for /body
}

func serve(t *testing.T, change func(*config.Settings)) served {
	t.Helper()
	settings := config.Defaults()
	settings.Listen = config.Listen{HTTPS: "127.0.0.1:0"}
	change(settings)
	log := &testlog.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	listeners, err := Listen(settings)
	for tries := 1; errors.Is(err, syscall.EADDRINUSE) && tries < 10; tries++ { // the number is free for TCP, but not for UDP
		listeners, err = Listen(settings)
	}
	if err != nil {
		t.Fatal(err)
	}
	source, err := certs.Open(t.Context(), config.Defaults(), certs.Ports{}, logger)
	if err != nil {
		t.Fatal(err)
	}
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Client", r.RemoteAddr)
		_, _ = io.WriteString(w, "let in")
	})
	mux := http.NewServeMux()
	mux.Handle("/", answer)
	mux.Handle("/forwarded", NoteForwarded(answer))
	bodies := make(chan receivedBody, 100)
	mux.HandleFunc("/body", func(_ http.ResponseWriter, r *http.Request) { bodies <- receiveBody(r) })
	handler := CheckAuthority(settings.Domains, mux)
	s := New(settings, listeners, source.TLS, Handlers{HTTPS: handler, HTTP: handler, Plain: handler, Keyless: handler, Admin: handler}, logger)
	s.Start()
	t.Cleanup(s.Close)
	return served{s, listeners.HTTPS.Addr().String(), log, bodies}
}

func headerTimeout(d time.Duration) func(*config.Settings) {
	return func(s *config.Settings) { s.Timeouts.Header = types.Duration(d) }
}

func trusting(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}
}

// clients are one for each protocol.
func clients(t *testing.T) map[string]*http.Client {
	t.Helper()
	one := &http.Transport{TLSClientConfig: trusting("http/1.1")}
	two := &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}
	three := &http3.Transport{TLSClientConfig: trusting()}
	t.Cleanup(func() {
		one.CloseIdleConnections()
		two.CloseIdleConnections()
		_ = three.Close()
	})
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: one, Timeout: patience},
		"HTTP/2":   {Transport: two, Timeout: patience},
		"HTTP/3":   {Transport: three, Timeout: patience},
	}
}

func (s served) dial(t *testing.T, protocol string) net.Conn {
	t.Helper()
	dialer := &tls.Dialer{Config: trusting(protocol)}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// dialQUIC waits for the server's first stream: a client has completed its handshake before the server has, and before that counts.
func (s served) dialQUIC(t *testing.T) *quic.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, s.address, trusting("h3"), &quic.Config{MaxIdleTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	if _, err := conn.AcceptUniStream(ctx); err != nil {
		t.Fatal(err)
	}
	return conn
}

// http2Begins is the preface of a client, with its SETTINGS.
const http2Begins = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

func http2Frame(kind, flags byte, payload string) string {
	const stream = 1
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}) + payload
}

// readUntil reads until one of the texts has arrived, and fails if the connection ends before.
func readUntil(t *testing.T, r io.Reader, texts ...string) {
	t.Helper()
	var read bytes.Buffer
	piece := make([]byte, 4096)
	for {
		n, err := r.Read(piece)
		read.Write(piece[:n])
		for _, text := range texts {
			if strings.Contains(read.String(), text) {
				return
			}
		}
		if err != nil {
			t.Fatalf("%v after %q", err, read.String())
		}
	}
}

// ends fails if a connection does not end by itself.
func ends(t *testing.T, conn io.Reader) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Error("the connection stays")
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func slogTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func slogDiscard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// numbered returns content in which no two parts are the same.
func numbered(size int) []byte {
	var content bytes.Buffer
	for i := 0; content.Len() < size; i++ {
		fmt.Fprintf(&content, "%d,", i)
	}
	return content.Bytes()[:size]
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// The frames of HTTP/2 that tests write, and the flag that ends a request's head, by their numbers in RFC 9113.
const (
	frameHeaders      = 1
	frameContinuation = 9
	flagEndHeaders    = 4
)
