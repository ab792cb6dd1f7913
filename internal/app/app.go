// Package app puts the standalone proxy together from certificates, server, access-key handler, reverse proxy and metrics; it
// runs, reloads and stops it.
//
// A request to listen.https passes through these handlers, in this order: HSTS, verification of the client certificate, tracking
// with the access log, the check of its Host, the access-key handler (immichaccess.New), and the reverse proxy to Immich. On
// listen.plain and listen.keyless, there are no client certificates. On listen.http, ACME challenges are answered, and all else is
// redirected. See handlers in listeners.go.
package app

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/immichaccess/immichaccess/internal/admin"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/proxy"
	"github.com/immichaccess/immichaccess/internal/server"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// reportTime is how long Close waits for aborted transfers to be logged.
const reportTime = time.Second

// App is the standalone proxy while it runs. A reload changes settings and logAccess, and replaces what is inside handler and
// keyless; everything else stays the same from Open to Close.
type App struct {
	settings  *config.Settings   // in effect
	handler   *reloadableHandler // checks keys, on listen.https and listen.plain
	keyless   *reloadableHandler // the same handler with requireKey off, on listen.keyless
	hsts      *server.HSTS
	logger    *slog.Logger
	level     *slog.LevelVar
	logAccess atomic.Bool // log.access
	stopping  atomic.Bool

	listeners *server.Listeners
	server    *server.Server
	tracker   *transfer.Tracker
	admin     *admin.Admin
	end       context.CancelFunc // of everything that runs in the background
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
	a.hsts = server.NewHSTS(time.Duration(a.settings.TLS.HSTS))
	if err := a.openAccess(warnOfContainerGateway("/", a.logger, immich)); err != nil {
		return err
	}
	if a.listeners, err = server.Listen(a.settings); err != nil {
		return err
	}
	source, err := a.openCertificates(ctx)
	if err != nil {
		a.listeners.Close()
		return err
	}
	if a.settings.TLS.ClientCA != "" && !a.settings.Access.ClientCertificates {
		a.logger.Warn("clients are asked for certificates (tls.clientCA), which are ignored: access.clientCertificates is false")
	}
	a.admin = admin.New(admin.View{
		Tracker: a.tracker,
		Health:  immich.Health,
		Expiry:  source.Expiry,
		Ready:   func() bool { return !a.stopping.Load() },
	})
	a.server = server.New(a.settings, a.listeners, source.TLS, a.handlers(source), a.logger)
	return nil
}

func (a *App) setLogging(settings *config.Log) {
	a.level.Set(logging.Level(settings.Level))
	a.logAccess.Store(settings.Access)
}

// Addr is the address of listen.https or, without it, of listen.plain.
func (a *App) Addr() net.Addr {
	if a.listeners.HTTPS == nil {
		return a.listeners.Plain.Addr()
	}
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

// Close stops immediately.
func (a *App) Close() {
	a.tracker.Close()
	a.server.Close()
	a.tracker.Wait(reportTime)
	a.closeAccess()
	a.end()
}
