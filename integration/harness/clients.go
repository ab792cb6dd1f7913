package harness

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// The protocols, as http.Response.Proto has them.
const (
	HTTP1 = "HTTP/1.1"
	HTTP2 = "HTTP/2.0"
	HTTP3 = "HTTP/3.0"
)

// Protocols are all of them.
var Protocols = []string{HTTP1, HTTP2, HTTP3}

// AnyCertificate is a client's configuration of TLS that accepts any certificate.
func AnyCertificate(alpn ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: alpn}
}

// Clients returns a client of each protocol, with its own connections, which end with the test.
func Clients(t testing.TB) map[string]*http.Client {
	t.Helper()
	clients := map[string]*http.Client{}
	for _, protocol := range Protocols {
		clients[protocol] = Client(t, protocol)
	}
	return clients
}

// Client is NewClient until the test ends.
func Client(t testing.TB, protocol string) *http.Client {
	t.Helper()
	client := NewClient(protocol)
	t.Cleanup(func() { CloseClient(client) })
	return client
}

// NewClient returns a client that uses one protocol and accepts any certificate. It has its own connections, until CloseClient.
func NewClient(protocol string) *http.Client {
	switch protocol {
	case HTTP3:
		return &http.Client{Transport: &http3.Transport{TLSClientConfig: AnyCertificate()}}
	case HTTP2:
		return &http.Client{Transport: &http.Transport{TLSClientConfig: AnyCertificate(), ForceAttemptHTTP2: true}}
	default:
		return &http.Client{Transport: &http.Transport{TLSClientConfig: AnyCertificate("http/1.1")}}
	}
}

// CloseClient closes the connections of a client that makes no more requests.
func CloseClient(client *http.Client) {
	if transport, isHTTP3 := client.Transport.(io.Closer); isHTTP3 {
		_ = transport.Close()
		return
	}
	client.CloseIdleConnections()
}
