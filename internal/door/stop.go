package door

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const progressInterval = 5 * time.Second

var (
	errCut     = errors.New("stopped") // and the process fails: its transfers had not
	errTooLong = errors.New("timeouts.shutdown is over")
)

// Stop accepts no more requests, lets those that run finish, and says how far they are. When patience or timeouts.shutdown
// ends, it cuts them off.
func (d *Door) Stop(patience context.Context) error {
	defer d.Close()
	d.stopping.Store(true)
	ctx, cancel := context.WithTimeoutCause(patience, time.Duration(d.settings.Timeouts.Shutdown), errTooLong)
	defer cancel()

	done := make(chan error, 1)
	go func() { done <- d.server.Shutdown(ctx) }()
	progress := time.NewTicker(progressInterval)
	defer progress.Stop()
	d.logger.Info("stopping", "transfers", d.ledger.Running())
	for {
		select {
		case err := <-done:
			if err != nil && ctx.Err() != nil { // which each server reports
				err = context.Cause(ctx)
			}
			return d.stopped(err)
		case <-progress.C:
			d.logger.Info("waiting for transfers to finish", "transfers", d.ledger.Running(),
				"received", d.ledger.Received(), "sent", d.ledger.Sent())
		}
	}
}

func (d *Door) stopped(err error) error {
	if err == nil {
		d.logger.Info("stopped")
		return nil
	}
	return fmt.Errorf("%w, transfers unfinished: %d: %w", errCut, d.ledger.Running(), err)
}
