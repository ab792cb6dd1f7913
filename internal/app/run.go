package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/filewatch"
	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/server"
)

// fileInterval is how often the configuration file is polled.
const fileInterval = 2 * time.Second

// Run runs the proxy until a signal stops it: SIGHUP reloads, any other stops it gracefully, and a second one immediately.
func Run(load func() (*config.Loaded, error), log io.Writer, signals <-chan os.Signal) error {
	loaded, err := load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	logger := logging.New(log, loaded.Log.Format, level)
	logging.TakeOver(logger)

	defer tuneGC()()
	file := filewatch.New(loaded.ConfigFile)
	a, err := Open(&loaded.Settings, logger, level)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	a.logSummary(ctx)
	server.Notify("READY=1")
	return a.serve(load, file, signals)
}

func (a *App) serve(load func() (*config.Loaded, error), file *filewatch.Files, signals <-chan os.Signal) error {
	ticker := time.NewTicker(fileInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if file.Changed() {
				a.Reload(load)
			}
		case s := <-signals:
			if s != syscall.SIGHUP {
				return a.stopOn(signals)
			}
			file.Accept()
			a.Reload(load)
		case err := <-a.Failed():
			a.Close()
			return err
		}
	}
}

// stopOn stops the proxy gracefully, or immediately if a second signal arrives.
func (a *App) stopOn(signals <-chan os.Signal) error {
	server.Notify("STOPPING=1")
	patience, end := context.WithCancelCause(context.Background())
	defer end(nil)
	go func() {
		select {
		case s := <-signals:
			end(fmt.Errorf("second signal: %s", s))
		case <-patience.Done():
		}
	}()
	return a.Stop(patience)
}
