package server

import (
	"context"
	"crypto/tls"
	"net/http"

	"golang.org/x/net/http2"
)

// frameSize is the smallest HTTP/2 allows. A connection keeps a buffer for the largest frame it has seen, and Go's default
// lets that be 1 MB.
const frameSize = 16 << 10

// serveHTTP2 makes the server speak HTTP/2 on connections that the backlog watches, which net/http's own HTTP/2 has no
// place for.
//
//nolint:staticcheck // deprecated in favour of net/http's own
func serveHTTP2(https *http.Server, uploads *backlog) error {
	two := &http2.Server{
		MaxReadFrameSize:             frameSize,
		MaxUploadBufferPerConnection: uploadWindow,
		MaxUploadBufferPerStream:     uploadWindow,
	}
	if err := http2.ConfigureServer(https, two); err != nil {
		return err
	}
	https.TLSNextProto[http2.NextProtoTLS] = func(https *http.Server, conn *tls.Conn, handler http.Handler) {
		var ctx context.Context
		if base, ok := handler.(interface{ BaseContext() context.Context }); ok {
			ctx = base.BaseContext()
		}
		two.ServeConn(uploads.watch(conn), &http2.ServeConnOpts{Context: ctx, Handler: handler, BaseConfig: https})
	}
	return nil
}
