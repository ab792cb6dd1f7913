// Package server speaks HTTP/1.1, HTTP/2 and HTTP/3 with the clients.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/logging"
)

const (
	// maxHead is how long the head of a request may be, on every protocol. Node, and so Immich, takes 16 KB.
	maxHead = 32 << 10
	// maxHeadSlop is what net/http adds to MaxHeaderBytes for HTTP/1.1.
	maxHeadSlop = 4 << 10
)

// Handlers answer the requests of each listener.
type Handlers struct {
	HTTPS http.Handler
	HTTP  http.Handler
	Admin http.Handler
}

// Server serves on all Listeners.
type Server struct {
	listeners  *Listeners
	https      *http.Server
	http2      *http.Server   // of the clients of https that chose HTTP/2
	http2Conns *http2Listener // where it gets them from
	http       *http.Server
	admin      *http.Server
	quic       *quicServer // nil without HTTP/3
	limiter    *connLimiter
	batches    *batches
	log        *rareLog
	failed     chan error
	logger     *slog.Logger
}

// New returns a Server that does not serve yet.
func New(settings *config.Settings, listeners *Listeners, certificates *tls.Config, handlers Handlers, logger *slog.Logger) *Server {
	s := &Server{listeners: listeners, failed: make(chan error, 5), logger: logger, log: newRareLog(logger)}
	s.limiter = newConnLimiter(settings.Limits, time.Duration(settings.Timeouts.Header), logger)
	s.batches = newBatches(time.Duration(settings.Timeouts.Idle))
	s.https = newHTTP(&settings.Timeouts, handlers.HTTPS, logger)
	s.https.ConnState, s.https.ConnContext = follow, withConn
	if listeners.QUIC != nil {
		s.quic = newQUIC(&settings.Timeouts, certificates, s.https, s.limiter)
		s.https.Handler = advertise(listeners.QUIC, handlers.HTTPS)
	}
	s.https.TLSConfig = withProtocols(certificates, "h2", "http/1.1")
	s.http2Conns = newHTTP2Listener(listeners.HTTPS.Addr(), time.Duration(settings.Timeouts.Header))
	s.https.TLSNextProto = s.http2Conns.next()
	s.http2 = newHTTP2(&settings.Timeouts, s.https.Handler, logger)
	s.http = newHTTP(&settings.Timeouts, handlers.HTTP, logger)
	s.http.ConnState = follow
	s.admin = newHTTP(&settings.Timeouts, handlers.Admin, logger)
	return s
}

// newHTTP sets no ReadTimeout and no WriteTimeout: they would bound whole uploads and downloads.
func newHTTP(timeouts *config.Timeouts, handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Duration(timeouts.Header),
		IdleTimeout:       time.Duration(timeouts.KeepAlive),
		MaxHeaderBytes:    maxHead - maxHeadSlop,
		ErrorLog:          logging.Debug(logger),
		// OPTIONS * needs a key like everything else.
		DisableGeneralOptionsHandler: true,
	}
}

func withProtocols(certificates *tls.Config, protocols ...string) *tls.Config {
	c := certificates.Clone()
	c.NextProtos = append(protocols, c.NextProtos...)
	return c
}

// advertise tells clients of HTTP/1.1 and HTTP/2 that there is HTTP/3.
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

// Start serves, in the background.
func (s *Server) Start() {
	s.serve("HTTPS", s.listeners.HTTPS, func(l net.Listener) error { return s.https.ServeTLS(l, "", "") })
	go s.report("HTTP/2", func() error { return s.http2.Serve(s.http2Conns) })
	s.serve("HTTP", s.listeners.HTTP, s.http.Serve)
	s.serve("admin", s.listeners.Admin, s.admin.Serve)
	if s.quic != nil {
		go s.report("HTTP/3", func() error { return s.quic.serve(s.listeners.QUIC) })
	}
}

func (s *Server) serve(name string, l net.Listener, serve func(net.Listener) error) {
	if l == nil {
		return
	}
	s.logger.Info("listening", "for", name, "address", l.Addr().String())
	l = &limitedListener{Listener: s.batches.listen(l), name: name, limiter: s.limiter, log: s.log}
	go s.report(name, func() error { return serve(l) })
}

func (s *Server) report(name string, serve func() error) {
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("%s: %w", name, err)
	}
}

// Failed delivers the error of a listener that has ended by itself.
func (s *Server) Failed() <-chan error {
	return s.failed
}

// Shutdown accepts nobody any more and waits for running requests, until the context ends. WebSockets have no end to wait
// for; the admin listener stays until the last.
func (s *Server) Shutdown(ctx context.Context) error {
	stops := []func(context.Context) error{s.https.Shutdown, s.http2.Shutdown, s.http.Shutdown}
	if s.quic != nil {
		stops = append(stops, s.quic.shutdown)
	}
	done := make(chan error, len(stops))
	for _, stop := range stops {
		go func() { done <- stop(ctx) }()
	}
	var errs []error
	for range stops {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// Close ends everything at once.
func (s *Server) Close() {
	s.batches.abandon()
	_ = s.https.Close()
	_ = s.http2.Close()
	_ = s.http.Close()
	_ = s.admin.Close()
	if s.quic != nil {
		s.quic.close()
	}
	s.listeners.Close()
}
