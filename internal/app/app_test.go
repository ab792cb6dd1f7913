package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/testlog"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/traefik/paerser/types"
)

const (
	patience = 20 * time.Second
	key      = "correct-horse-battery-staple"
)

// TestPromises runs the conformance tests.
func TestPromises(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Proxy{Open: func(t *testing.T, options conformance.Options) conformance.Gateway {
		t.Helper()
		a := open(t, func(s *config.Settings) {
			s.Access.Keys = nil
			options.Apply(t, reflect.ValueOf(&s.Access).Elem())
		})
		return conformance.Gateway{Addr: a.Addr().String(), Host: "localhost", TLS: trusting(), HTTP3: true, Immich: a.immich}
	}})
}

// opened is an App on loopback, in front of a fake Immich.
type opened struct {
	*App

	immich *fakeimmich.Server
	log    *testlog.Log
}

func open(t *testing.T, change func(*config.Settings)) opened {
	t.Helper()
	immich := fakeimmich.New()
	upstream := httptest.NewUnstartedServer(immich)
	upstream.Config = immich.HTTPServer()
	upstream.Start()
	t.Cleanup(upstream.Close)

	settings := config.Defaults()
	settings.Upstreams = []string{upstream.URL}
	settings.Listen = config.Listen{HTTPS: "127.0.0.1:0"}
	settings.ACME.Storage = t.TempDir()
	settings.Access.Keys = []string{"phone:" + key}
	change(settings)

	log := &testlog.Log{}
	level := new(slog.LevelVar)
	a, err := Open(settings, logging.New(log, "text", level), level)
	for tries := 1; errors.Is(err, syscall.EADDRINUSE) && tries < 10; tries++ { // the number is free for TCP, but not for UDP
		a, err = Open(settings, logging.New(log, "text", level), level)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return opened{a, immich, log}
}

func unchanged(*config.Settings) {}

func (o opened) url(path string) string {
	return "https://" + o.Addr().String() + path
}

// protocols are those of clients; each transport has its own connections.
var protocols = map[string]func(t *testing.T) http.RoundTripper{
	"HTTP/1.1": func(t *testing.T) http.RoundTripper {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: trusting("http/1.1")}
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	},
	"HTTP/2": func(t *testing.T) http.RoundTripper {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	},
	"HTTP/3": func(t *testing.T) http.RoundTripper {
		t.Helper()
		transport := &http3.Transport{TLSClientConfig: trusting()}
		t.Cleanup(func() { _ = transport.Close() })
		return transport
	},
}

func trusting(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}
}

// onEachProtocol runs a test once with a client of each.
func onEachProtocol(t *testing.T, test func(t *testing.T, protocol string, client *http.Client)) {
	t.Helper()
	for protocol, transport := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			test(t, protocol, &http.Client{Transport: transport(t), Timeout: patience})
		})
	}
}

func get(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	return send(t, client, http.MethodGet, url, nil)
}

// newRequest returns a request with the key.
func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Access-Key", key)
	return request
}

func send(t *testing.T, client *http.Client, method, url string, body io.Reader) (status int, answer string) {
	t.Helper()
	response, err := client.Do(newRequest(t, method, url, body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (o opened) await(t *testing.T, match func(fakeimmich.Upload) bool) fakeimmich.Upload {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	upload, err := o.immich.Await(ctx, match)
	if err != nil {
		t.Fatalf("%v; uploads are %+v; the log is\n%s", err, o.immich.Uploads(), o.log)
	}
	return upload
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// dial opens a raw TLS connection.
func (o opened) dial(t *testing.T, protocols ...string) net.Conn {
	t.Helper()
	return dial(t, &tls.Dialer{Config: trusting(protocols...)}, o.Addr())
}

func dial(t *testing.T, dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}, to net.Addr) net.Conn {
	t.Helper()
	conn, err := dialer.DialContext(t.Context(), to.Network(), to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// OPTIONS * is denied like every other request, by the handler and not by the server.
func TestOptionsOfTheServer(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		request := newRequest(t, http.MethodOptions, a.url("/"), nil)
		request.Header.Del("X-Access-Key")
		request.URL.Path = "*"
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden || response.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s, %v", response.Status, response.Header)
		}
	})
}

// An idle connection whose request was denied ends after timeouts.header; one whose request was authorized stays for
// timeouts.keepAlive.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) { s.Timeouts.Header = types.Duration(200 * time.Millisecond) })
	ask := func(conn net.Conn, header string) {
		t.Helper()
		if _, err := io.WriteString(conn, "GET /api/server/ping HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	known, refused := a.dial(t, "http/1.1"), a.dial(t, "http/1.1")
	ask(known, "X-Access-Key: "+key+"\r\n")
	ask(refused, "")
	if _, err := refused.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection that was refused: %v", err)
	}
	ask(known, "")
	ask(known, "X-Access-Key: "+key+"\r\n")

	client := &http.Client{Transport: protocols["HTTP/2"](t), Timeout: patience}
	from := func(key string) (local string) {
		t.Helper()
		request := newRequest(t, http.MethodGet, a.url("/api/show"), nil)
		request.Header.Set("X-Access-Key", key)
		seen := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { local = info.Conn.LocalAddr().String() }}
		response, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), seen)))
		if errors.Is(err, io.EOF) { // the connection was closed when the request was on its way
			response, err = client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), seen)))
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return local
	}
	first := from("wrong")
	waitFor(t, "another connection of HTTP/2", func() bool { time.Sleep(300 * time.Millisecond); return from("wrong") != first })
	second := from(key)
	time.Sleep(500 * time.Millisecond)
	if third := from(key); third != second {
		t.Error("an HTTP/2 connection that was authorized was closed")
	}

	var conns []*quic.Conn
	three := &http3.Transport{TLSClientConfig: trusting(), Dial: func(ctx context.Context, address string, config *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
		conn, err := quic.DialAddrEarly(ctx, address, config, quicConfig)
		conns = append(conns, conn)
		return conn, err
	}}
	t.Cleanup(func() { _ = three.Close() })
	client = &http.Client{Transport: three, Timeout: patience}
	from("wrong")
	<-conns[0].Context().Done()
	from(key)
	from(key)
	time.Sleep(500 * time.Millisecond)
	from(key)
	if len(conns) != 2 {
		t.Errorf("HTTP/3 took %d connections", len(conns))
	}
}
