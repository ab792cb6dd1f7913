package main

import (
	"crypto/tls"
	"io"
	"net"
)

// runFloor relays connections between TLS and the upstream without parsing what they carry. No proxy that parses it can cost
// less, if it is written in Go and uses Go's cryptography.
func runFloor(address, upstream, certFile, keyFile string) error {
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go relay(conn, upstream)
	}
}

func relay(client net.Conn, upstream string) {
	defer client.Close()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(struct{ io.Writer }{server}, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, struct{ io.Reader }{server})
}
