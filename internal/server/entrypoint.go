package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/flowcontrol"
	"github.com/immichaccess/immichaccess/internal/http1"
	"github.com/immichaccess/immichaccess/internal/http2"
)

// entryPoint is an address that accepts requests for Immich, with the servers of each HTTP version.
type entryPoint struct {
	name     string
	listener net.Listener
	packets  net.PacketConn // nil without HTTP/3
	serve    func(net.Listener) error
	http1    *http.Server
	kept     *http1.Server // serves most requests of http1's kept connections
	http2    *http2.Server // serves the connections that http1 passes to it
	quic     *quicServer   // nil without HTTP/3
}

// common is what all entry points share: the bounds on memory are for all of them together.
type common struct {
	timeouts   *config.Timeouts
	limiter    *connLimiter
	uploads    *flowcontrol.HTTP2
	windows    *flowcontrol.QUIC
	handshakes *handshakes
	logger     *slog.Logger
}

func newCommon(timeouts *config.Timeouts, limiter *connLimiter, logger *slog.Logger) *common {
	return &common{
		timeouts: timeouts, limiter: limiter, logger: logger,
		uploads: flowcontrol.NewHTTP2(), windows: flowcontrol.NewQUIC(), handshakes: newHandshakes(limiter.log),
	}
}

// newEntryPoint returns one with HTTP/1.1, and with HTTP/2 on the connections that are passed to it.
func (c *common) newEntryPoint(name string, listener net.Listener, handler http.Handler) *entryPoint {
	e := &entryPoint{name: name, listener: listener}
	e.http1 = newHTTP(c.timeouts, handler, c.logger)
	e.http1.ConnState, e.http1.ConnContext = follow, withConn
	e.kept = http1.New(e.http1, listener.Addr())
	e.http2 = newHTTP2(c, e.http1, handler)
	return e
}

// newHTTPS returns an entry point with TLS; packets are those of HTTP/3, nil without it.
func (c *common) newHTTPS(name string, listener net.Listener, packets net.PacketConn, certificates *tls.Config, handler http.Handler) *entryPoint {
	tcpHandler := handler
	if packets != nil {
		tcpHandler = advertise(packets, handler)
	}
	e := c.newEntryPoint(name, listener, tcpHandler)
	e.http1.TLSConfig = withProtocols(certificates, "h2", "http/1.1")
	e.http1.TLSNextProto = nextHTTP2(e.http2)
	e.serve = func(l net.Listener) error { return e.http1.ServeTLS(l, "", "") }
	if packets != nil {
		e.packets = packets
		e.quic = newQUIC(c, certificates, e.http1, handler)
	}
	return e
}

func withProtocols(certificates *tls.Config, protocols ...string) *tls.Config {
	c := certificates.Clone()
	c.NextProtos = slices.Concat(protocols, c.NextProtos)
	if get := c.GetConfigForClient; get != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			forClient, err := get(hello)
			if forClient == nil || err != nil {
				return nil, err
			}
			return withProtocols(forClient, protocols...), nil
		}
	}
	return c
}

// advertise announces HTTP/3 to clients of HTTP/1.1 and HTTP/2.
func advertise(quic net.PacketConn, next http.Handler) http.Handler {
	address, ok := quic.LocalAddr().(*net.UDPAddr)
	if !ok {
		return next
	}
	service := []string{fmt.Sprintf(`h3=":%d"; ma=2592000`, address.Port)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Alt-Svc"] = service
		next.ServeHTTP(w, r)
	})
}

// stops are the functions that let the requests of each server finish.
func (e *entryPoint) stops() []func(context.Context) error {
	stops := []func(context.Context) error{e.http1.Shutdown, e.kept.Shutdown, e.http2.Shutdown}
	if e.quic != nil {
		stops = append(stops, e.quic.shutdown)
	}
	return stops
}

// close ends everything immediately.
func (e *entryPoint) close() {
	_ = e.http1.Close()
	e.kept.Close()
	e.http2.Close()
	if e.quic != nil {
		e.quic.close()
	}
}
