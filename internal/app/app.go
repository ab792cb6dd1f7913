// Package app puts the standalone proxy together from certificates, server, access-key handler, reverse proxy and metrics; it
// runs, reloads and stops it.
package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/admin"
	"github.com/immichaccess/immichaccess/internal/certs"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/proxy"
	"github.com/immichaccess/immichaccess/internal/server"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// reportTime is how long to wait until transfers that were cut off are logged.
const reportTime = time.Second

// App is the standalone proxy while it runs.
type App struct {
	settings  *config.Settings // as of the last reload
	handler   *reloadableHandler
	logger    *slog.Logger
	level     *slog.LevelVar
	logAccess atomic.Bool
	stopping  atomic.Bool

	listeners *server.Listeners
	server    *server.Server
	tracker   *transfer.Tracker
	admin     *admin.Admin
	end       context.CancelFunc
}

// Open starts the proxy, and returns when clients can connect. It logs to logger, whose level it sets.
func Open(settings *config.Settings, logger *slog.Logger, level *slog.LevelVar) (*App, error) {
	ctx, end := context.WithCancel(context.Background())
	a := &App{settings: settings, logger: logger, level: level, tracker: &transfer.Tracker{}, end: end}
	if err := a.open(ctx); err != nil {
		end()
		return nil, err
	}
	a.server.Start()
	return a, nil
}

func (a *App) open(ctx context.Context) (err error) {
	a.setLogging(&a.settings.Log)
	immich := proxy.New(ctx, a.settings, a.logger)
	if a.handler, err = newReloadableHandler(withSessionSecret(a.settings, a.logger), immich); err != nil {
		return err
	}
	if a.listeners, err = server.Listen(a.settings); err != nil {
		return err
	}
	ports := certs.Ports{HTTP: server.Port(a.listeners.HTTP), HTTPS: server.Port(a.listeners.HTTPS)}
	source, err := certs.Open(ctx, a.settings, ports, a.logger)
	if err != nil {
		a.listeners.Close()
		return err
	}
	if a.settings.TLS.ClientCA != "" && !a.settings.Access.ClientCertificates {
		a.logger.Warn("clients are asked for certificates (tls.clientCA), which do not count: access.clientCertificates is false")
	}
	a.admin = admin.New(admin.View{
		Tracker: a.tracker,
		Health:  immich.Health,
		Expiry:  source.Expiry,
		Ready:   func() bool { return !a.stopping.Load() },
	})
	a.server = server.New(a.settings, a.listeners, source.TLS, server.Handlers{
		HTTPS: source.VerifyClients(a.requestHandler()),
		HTTP:  source.Challenge(server.CheckAuthority(a.settings.Domains, server.RedirectTo(ports.HTTPS))),
		Admin: a.admin.Handler(),
	}, a.logger)
	return nil
}

// requestHandler is what every request of a client goes through: it is tracked, its Host is checked, then its access key, and
// then the reverse proxy sends it to Immich.
func (a *App) requestHandler() http.Handler {
	idle := time.Duration(a.settings.Timeouts.Idle)
	return transfer.Handler(a.tracker, idle, a.report, server.CheckAuthority(a.settings.Domains, a.handler))
}

func (a *App) report(e transfer.Entry) {
	a.admin.Count(e)
	if !a.logAccess.Load() {
		return
	}
	a.logger.Info("request", "client", e.Identity.Client, "key", e.Identity.Key, "method", e.Request.Method,
		"path", logging.Path(e.Request.URL), "protocol", e.Request.Proto, "status", e.Status,
		"received", e.Received, "sent", e.Sent, "duration", e.Duration, "aborted", string(e.Aborted))
}

func (a *App) setLogging(settings *config.Log) {
	a.level.Set(logging.Level(settings.Level))
	a.logAccess.Store(settings.Access)
}

// Addr is where clients of HTTPS connect.
func (a *App) Addr() net.Addr {
	return a.listeners.HTTPS.Addr()
}

// AdminAddr is where metrics are, nil when they are off.
func (a *App) AdminAddr() net.Addr {
	if a.listeners.Admin == nil {
		return nil
	}
	return a.listeners.Admin.Addr()
}

// Failed receives the error of a listener that has failed.
func (a *App) Failed() <-chan error {
	return a.server.Failed()
}

// Close ends everything at once.
func (a *App) Close() {
	a.tracker.Close()
	a.server.Close()
	a.tracker.Wait(reportTime)
	a.handler.close()
	a.end()
}
