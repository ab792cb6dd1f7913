// Package door puts the rooms together: certificates, server, handler, proxy, and what is to be seen of them.
package door

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

// reportTime is how long transfers that were cut off have to say so in the log.
const reportTime = time.Second

// Door is the running proxy.
type Door struct {
	settings  *config.Settings // as of the last reload
	rules     *rules
	logger    *slog.Logger
	level     *slog.LevelVar
	logAccess atomic.Bool
	stopping  atomic.Bool

	listeners *server.Listeners
	server    *server.Server
	ledger    *transfer.Ledger
	admin     *admin.Admin
	end       context.CancelFunc
}

// Open returns when clients can connect. It logs to logger, whose level it sets.
func Open(settings *config.Settings, logger *slog.Logger, level *slog.LevelVar) (*Door, error) {
	ctx, end := context.WithCancel(context.Background())
	d := &Door{settings: settings, logger: logger, level: level, ledger: &transfer.Ledger{}, end: end}
	if err := d.open(ctx); err != nil {
		end()
		return nil, err
	}
	d.server.Start()
	return d, nil
}

func (d *Door) open(ctx context.Context) (err error) {
	d.setLogging(&d.settings.Log)
	immich := proxy.New(ctx, d.settings, d.logger)
	if d.rules, err = newRules(withSessionSecret(d.settings, d.logger), immich); err != nil {
		return err
	}
	if d.listeners, err = server.Listen(d.settings); err != nil {
		return err
	}
	ports := certs.Ports{HTTP: server.Port(d.listeners.HTTP), HTTPS: server.Port(d.listeners.HTTPS)}
	source, err := certs.Open(ctx, d.settings, ports, d.logger)
	if err != nil {
		d.listeners.Close()
		return err
	}
	d.admin = admin.New(admin.View{
		Ledger: d.ledger,
		Health: immich.Health,
		Expiry: source.Expiry,
		Ready:  func() bool { return !d.stopping.Load() },
	})
	d.server = server.New(d.settings, d.listeners, source.TLS, server.Handlers{
		HTTPS: d.path(),
		HTTP:  source.Challenge(server.CheckAuthority(d.settings.Domains, server.RedirectTo(ports.HTTPS))),
		Admin: d.admin.Handler(),
	}, d.logger)
	return nil
}

// path is that of a request, up to the rules, which lead on to Immich.
func (d *Door) path() http.Handler {
	idle := time.Duration(d.settings.Timeouts.Idle)
	rules := server.CheckAuthority(d.settings.Domains, d.rules)
	return transfer.Handler(d.ledger, idle, d.report, rules)
}

func (d *Door) report(e transfer.Entry) {
	d.admin.Count(e)
	if !d.logAccess.Load() {
		return
	}
	d.logger.Info("request", "client", e.Visitor.Client, "key", e.Visitor.Key, "method", e.Request.Method,
		"path", logging.Path(e.Request.URL), "protocol", e.Request.Proto, "status", e.Status,
		"received", e.Received, "sent", e.Sent, "duration", e.Duration, "aborted", string(e.Aborted))
}

func (d *Door) setLogging(settings *config.Log) {
	d.level.Set(logging.Level(settings.Level))
	d.logAccess.Store(settings.Access)
}

// Addr is where clients of HTTPS connect.
func (d *Door) Addr() net.Addr {
	return d.listeners.HTTPS.Addr()
}

// AdminAddr is where metrics are, nil when they are off.
func (d *Door) AdminAddr() net.Addr {
	if d.listeners.Admin == nil {
		return nil
	}
	return d.listeners.Admin.Addr()
}

// Failed delivers the error of a listener that has ended by itself.
func (d *Door) Failed() <-chan error {
	return d.server.Failed()
}

// Close ends everything at once.
func (d *Door) Close() {
	d.ledger.Close()
	d.server.Close()
	d.ledger.Wait(reportTime)
	d.rules.close()
	d.end()
}
