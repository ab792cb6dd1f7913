// Package conformance tests, with one table, every way of running immichaccess: as compiled code, in Yaegi, in Traefik and in the
// standalone proxy. It uses real sockets, and checks what a client gets and what reaches Immich.
package conformance

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Options are the plugin's options, as a user writes them in a file.
type Options map[string]any

// Key is the secret of the keys in Options that the table uses.
const Key = "correct-horse-battery-staple"

// keyDigest is the SHA-256 digest of Key.
const keyDigest = "87cbebfeebc05f7c54ac9336c4b4bbec831227a641951a4bde7edd56020f8590"

// Gateway is a running proxy with some Options in front of a fake Immich.
type Gateway struct {
	Addr   string      // the loopback address to connect to
	Host   string      // of requests
	TLS    *tls.Config // of the client; nil for plain HTTP
	HTTP3  bool        // whether QUIC listens on the same port
	Immich *fakeimmich.Server
}

// Proxy is a way to run the handler.
type Proxy struct {
	// Open returns a gateway with the options, which are one of OptionSets.
	Open func(t *testing.T, options Options) Gateway
	// HidesClaims is set if the handler never sees the forwarding headers that a peer sends, as on Traefik's entry points.
	HidesClaims bool
	// CleansPaths is set if the handler sees a normalized URL: without dot segments, doubled slashes, needless escapes, or
	// semicolons in the query.
	CleansPaths bool
}

// Run runs all tests.
func Run(t *testing.T, proxy Proxy) {
	RunRequests(t, proxy)
	t.Run("uploads", func(t *testing.T) { uploads(t, proxy) })
	t.Run("streams", func(t *testing.T) { streams(t, proxy) })
}

// RunRequests runs the tests of headers and of access.
func RunRequests(t *testing.T, proxy Proxy) {
	t.Run("requests", func(t *testing.T) { requests(t, proxy) })
	t.Run("routes", func(t *testing.T) { routes(t, proxy) })
	t.Run("browsers", func(t *testing.T) { browsers(t, proxy) })
	t.Run("lockouts", func(t *testing.T) { lockouts(t, proxy) })
	t.Run("basic sessions", func(t *testing.T) { basicSessions(t, proxy) })
	t.Run("basic lockout", func(t *testing.T) { basicLockout(t, proxy) })
}

// OptionSets returns each set of options that the table uses, once.
func OptionSets() []Options {
	all := []Options{withKey, small, unlimited, forBrowsers, lockingOut, basicBrowsers, basicLockingOut}
	for _, c := range slices.Concat(cases, basicCases) {
		all = append(all, c.Options)
	}
	for _, c := range slices.Concat(opened, shut) {
		all = append(all, c.options())
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(o Options) bool {
		before := seen[o.String()]
		seen[o.String()] = true
		return before
	})
}

// String is the same for equal options.
func (o Options) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Apply fills in a Config, leniently, as Traefik does. It accepts the interpreter's Config as well as the compiled one.
func (o Options) Apply(t *testing.T, config reflect.Value) {
	t.Helper()
	for name, value := range o {
		field := config.FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, name) })
		switch text := fmt.Sprint(value); {
		case !field.IsValid():
			t.Fatalf("there is no option %s", name)
		case field.Kind() == reflect.String:
			field.SetString(text)
		case field.Kind() == reflect.Bool:
			field.SetBool(text == "true")
		case field.Kind() == reflect.Int:
			field.Set(reflect.ValueOf(value))
		case reflect.TypeOf(value).Kind() == reflect.String:
			field.Set(reflect.ValueOf(strings.Split(text, ",")))
		default:
			field.Set(reflect.ValueOf(value))
		}
	}
}

func (g Gateway) scheme() string {
	if g.TLS != nil {
		return "https"
	}
	return "http"
}

// client returns a client that connects from the given loopback address and shares no connection with others.
func (g Gateway) client(t *testing.T, from string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", g.Addr)
		},
		TLSClientConfig:   g.TLS.Clone(),
		ForceAttemptHTTP2: !g.speaksHTTP1(),
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// http3Client is client for HTTP/3.
func (g Gateway) http3Client(t *testing.T, from string) *http.Client {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)})
	if err != nil {
		t.Fatal(err)
	}
	dialer := &http3Dialer{conn: conn, address: g.Addr}
	transport := &http3.Transport{TLSClientConfig: g.TLS.Clone(), Dial: dialer.dial}
	t.Cleanup(func() {
		_ = transport.Close()
		_ = conn.Close()
	})
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// http3Dialer connects from an address of its own.
type http3Dialer struct {
	conn    *net.UDPConn
	address string
}

func (d *http3Dialer) dial(ctx context.Context, _ string, config *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
	to, err := net.ResolveUDPAddr("udp", d.address)
	if err != nil {
		return nil, err
	}
	return quic.DialEarly(ctx, d.conn, to, config, quicConfig)
}

// dial opens a connection for HTTP/1.1.
func (g Gateway) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if g.TLS != nil {
		config := g.TLS.Clone()
		config.NextProtos = []string{"http/1.1"}
		config.ServerName = g.Host
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}
