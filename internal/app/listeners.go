package app

import (
	"context"
	"net/http"
	"time"

	"github.com/immichaccess/immichaccess/internal/certs"
	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/server"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// The listeners, as the access log and the metrics name them.
const (
	listenerHTTPS   = "https"
	listenerPlain   = "plain"
	listenerKeyless = "keyless"
)

// openCertificates obtains no certificates if no listener has TLS.
func (a *App) openCertificates(ctx context.Context) (*certs.Source, error) {
	ports := certs.Ports{HTTP: server.Port(a.listeners.HTTP), HTTPS: a.httpsPort()}
	if ports.HTTPS == 0 {
		return certs.None(), nil
	}
	return certs.Open(ctx, a.settings, ports, a.logger)
}

// httpsPort is 0 if nothing has TLS.
func (a *App) httpsPort() int {
	if a.listeners.HTTPS == nil {
		return server.Port(a.listeners.Keyless)
	}
	return server.Port(a.listeners.HTTPS)
}

// handlers are those of all listeners.
func (a *App) handlers(source *certs.Source) server.Handlers {
	if a.listeners.Plain != nil && len(a.settings.Access.TrustedProxies) == 0 {
		a.logger.Warn("listen.plain without access.trustedProxies: all requests seem to come from the proxy in front, and over plain HTTP; list its address there")
	}
	return server.Handlers{
		HTTPS:   a.hsts.OnHTTPS(source.VerifyClients(a.requestHandler(listenerHTTPS, a.handler))),
		Keyless: a.hsts.OnHTTPS(a.requestHandler(listenerKeyless, a.keyless)),
		Plain:   a.hsts.OnPlain(a.requestHandler(listenerPlain, a.handler)),
		HTTP:    source.Challenge(server.CheckAuthority(a.settings.Domains, a.redirect())),
		Admin:   a.admin.Handler(),
	}
}

// redirect never leads to listen.keyless.
func (a *App) redirect() http.Handler {
	if a.listeners.HTTPS == nil {
		return http.NotFoundHandler()
	}
	return server.RedirectTo(server.Port(a.listeners.HTTPS))
}

// requestHandler is the path of every request: it is tracked, its Host is checked, then its access key, and then the reverse
// proxy sends it to Immich.
func (a *App) requestHandler(listener string, access http.Handler) http.Handler {
	idle := time.Duration(a.settings.Timeouts.Idle)
	report := func(e transfer.Entry) { a.report(listener, e) }
	return transfer.Handler(a.tracker, idle, report, server.CheckAuthority(a.settings.Domains, access))
}

func (a *App) report(listener string, e transfer.Entry) {
	a.admin.Count(listener, e)
	if !a.logAccess.Load() {
		return
	}
	a.logger.Info("request", "client", e.Identity.Client, "key", e.Identity.Key, "method", e.Request.Method,
		"path", logging.Path(e.Request.URL), "protocol", e.Request.Proto, "status", e.Status,
		"received", e.Received, "sent", e.Sent, "duration", e.Duration, "aborted", string(e.Aborted), "listener", listener)
}
