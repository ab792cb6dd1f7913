package app

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const progressInterval = 5 * time.Second

var (
	errCut     = errors.New("stopped") // with an exit code of 1, since transfers were not finished
	errTooLong = errors.New("timeouts.shutdown is over")
)

// Stop accepts no more requests, lets running ones finish, and logs how many are left. When patience or timeouts.shutdown ends, it
// cuts them off.
func (a *App) Stop(patience context.Context) error {
	defer a.Close()
	a.stopping.Store(true)
	ctx, cancel := context.WithTimeoutCause(patience, time.Duration(a.settings.Timeouts.Shutdown), errTooLong)
	defer cancel()

	done := make(chan error, 1)
	go func() { done <- a.server.Shutdown(ctx) }()
	progress := time.NewTicker(progressInterval)
	defer progress.Stop()
	a.logger.Info("stopping", "transfers", a.tracker.Running())
	for {
		select {
		case err := <-done:
			if err != nil && ctx.Err() != nil { // which each server reports
				err = context.Cause(ctx)
			}
			return a.stopped(err)
		case <-progress.C:
			a.logger.Info("waiting for transfers to finish", "transfers", a.tracker.Running(),
				"received", a.tracker.Received(), "sent", a.tracker.Sent())
		}
	}
}

func (a *App) stopped(err error) error {
	if err == nil {
		a.logger.Info("stopped")
		return nil
	}
	return fmt.Errorf("%w, transfers unfinished: %d: %w", errCut, a.tracker.Running(), err)
}
