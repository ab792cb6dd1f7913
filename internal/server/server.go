// Package server serves HTTP/1.1, HTTP/2 and HTTP/3 to the clients.
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
	// maxHead is the maximum length of a request's head, on every protocol. Node, and so Immich, accepts 16 KB.
	maxHead = 32 << 10
	// maxHeadSlop is what net/http adds to MaxHeaderBytes for HTTP/1.1.
	maxHeadSlop = 4 << 10
)

// Handlers answer the requests of each listener.
type Handlers struct {
	HTTPS   http.Handler
	HTTP    http.Handler
	Plain   http.Handler
	Keyless http.Handler
	Admin   http.Handler
}

// Server serves on all Listeners.
type Server struct {
	listeners   *Listeners
	entryPoints []*entryPoint // where requests for Immich come in
	http        *http.Server
	admin       *http.Server
	limiter     *connLimiter
	proxies     *proxyProtocol
	batches     *batches
	log         *rareLog
	failed      chan error
	logger      *slog.Logger
}

// New returns a Server that does not serve yet. Certificates may be nil if no listener has TLS.
func New(settings *config.Settings, listeners *Listeners, certificates *tls.Config, handlers Handlers, logger *slog.Logger) *Server {
	s := &Server{listeners: listeners, failed: make(chan error, maxServers), logger: logger, log: newRareLog(logger)}
	s.limiter = newConnLimiter(settings.Limits, &settings.Timeouts, logger)
	s.batches = newBatches(time.Duration(settings.Timeouts.Idle))
	s.proxies = newProxyProtocol(settings, s.log)
	common := newCommon(&settings.Timeouts, s.limiter, logger)
	s.addEntryPoint(listeners.HTTPS, func() *entryPoint {
		return common.newHTTPS("HTTPS", listeners.HTTPS, listeners.QUIC, certificates, handlers.HTTPS)
	})
	s.addEntryPoint(listeners.Keyless, func() *entryPoint {
		return common.newHTTPS("HTTPS without keys", listeners.Keyless, listeners.KeylessQUIC, certificates, handlers.Keyless)
	})
	s.addEntryPoint(listeners.Plain, func() *entryPoint { return common.newPlain(listeners.Plain, handlers.Plain) })
	s.http = newHTTP(&settings.Timeouts, handlers.HTTP, logger)
	s.http.ConnState = follow
	s.admin = newHTTP(&settings.Timeouts, handlers.Admin, logger)
	return s
}

func (s *Server) addEntryPoint(l net.Listener, create func() *entryPoint) {
	if l != nil {
		s.entryPoints = append(s.entryPoints, create())
	}
}

// maxServers is how many can fail: two of HTTP/1.1, and that of HTTP/3 at each entry point, and two more.
const maxServers = 3*3 + 2

// newHTTP sets no ReadTimeout and no WriteTimeout: they would limit whole uploads and downloads.
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

// Start serves, in the background.
func (s *Server) Start() {
	for _, e := range s.entryPoints {
		s.serve(e.name, e.listener, true, e.serve)
		go s.report(e.name+", HTTP/1.1", func() error { return e.http1.Serve(e.kept.Listener()) })
		if e.quic != nil {
			go s.report(e.name+", HTTP/3", func() error { return e.quic.serve(e.packets) })
		}
	}
	s.serve("HTTP", s.listeners.HTTP, true, s.http.Serve)
	s.serve("admin", s.listeners.Admin, false, s.admin.Serve)
}

// serve also accepts connections with the PROXY protocol, if it is configured.
func (s *Server) serve(name string, l net.Listener, throughProxies bool, serve func(net.Listener) error) {
	if l == nil {
		return
	}
	s.logger.Info("listening", "for", name, "address", l.Addr().String())
	limited := &limitedListener{Listener: s.batches.listen(l), name: name, limiter: s.limiter, log: s.log}
	if throughProxies {
		limited.proxies = s.proxies
	}
	go s.report(name, func() error { return serve(limited) })
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

// Shutdown accepts no more connections and waits for running requests, until the context ends. WebSockets have no end to wait
// for; the admin listener is closed last.
func (s *Server) Shutdown(ctx context.Context) error {
	stops := []func(context.Context) error{s.http.Shutdown}
	for _, e := range s.entryPoints {
		stops = append(stops, e.stops()...)
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

// Close ends everything immediately.
func (s *Server) Close() {
	s.batches.abandon()
	for _, e := range s.entryPoints {
		e.close()
	}
	_ = s.http.Close()
	_ = s.admin.Close()
	s.listeners.Close()
}
