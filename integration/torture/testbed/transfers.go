package testbed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

const (
	// While a transfer is held, it continues slowly, so that it does not become idle.
	heldChunk = 2 << 10
	heldPause = 10 * time.Millisecond
)

var errAborted = errors.New("aborted by the test")

// Outcome is how a transfer ended for the client.
type Outcome struct {
	Status int   // 0 without an answer
	Err    error // the client's error, if the transfer is incomplete
	Took   time.Duration
	Body   string // the beginning of the answer
}

func (o Outcome) String() string {
	return fmt.Sprintf("status %d, %v, after %s", o.Status, o.Err, o.Took.Round(time.Millisecond))
}

// Succeeded reports whether the client sees success.
func (o Outcome) Succeeded() bool {
	return o.Err == nil && o.Status >= http.StatusOK && o.Status < http.StatusMultipleChoices
}

// Transfer is one that runs, in either direction.
type Transfer struct {
	Protocol string
	Name     string
	Checksum string // of what an upload sends
	Size     int64

	start   time.Time
	moved   atomic.Int64 // bytes so far
	release chan struct{}
	once    sync.Once
	cancel  context.CancelCauseFunc
	done    chan struct{}
	outcome Outcome // once done is closed
}

var transfers atomic.Int64

// newTransfer begins a transfer that is held in its middle until Release.
func newTransfer(t testing.TB, protocol, kind string, size int64) (*Transfer, context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	transfer := &Transfer{
		Protocol: protocol, Size: size, Name: fmt.Sprintf("%s-%s-%d", kind, strings.ReplaceAll(protocol, "/", ""), transfers.Add(1)),
		start: time.Now(), release: make(chan struct{}), cancel: cancel, done: make(chan struct{}),
	}
	t.Cleanup(func() { cancel(errAborted) })
	return transfer, ctx
}

// Release lets a transfer continue at full speed.
func (t *Transfer) Release() { t.once.Do(func() { close(t.release) }) }

// Abort makes the client abort the transfer.
func (t *Transfer) Abort() { t.cancel(errAborted) }

// InProgress reports whether any of it has been transferred, or the transfer has ended.
func (t *Transfer) InProgress() bool {
	return t.moved.Load() > 0 || t.Ended()
}

// Ended reports whether the client knows the outcome.
func (t *Transfer) Ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// Wait releases the transfer, and returns its outcome.
func (t *Transfer) Wait(tb testing.TB, within time.Duration) Outcome {
	tb.Helper()
	t.Release()
	return t.Outcome(tb, within)
}

// Outcome waits for the end of a transfer, whether it is held or not.
func (t *Transfer) Outcome(tb testing.TB, within time.Duration) Outcome {
	tb.Helper()
	select {
	case <-t.done:
	case <-time.After(within):
		tb.Errorf("%s: the client has no outcome after %s", t.Name, within)
		return t.abandoned(tb)
	}
	return t.outcome
}

// abandoned makes the client abort the transfer, which may fail: Go's may wait for a connection that accepts no data.
func (t *Transfer) abandoned(tb testing.TB) Outcome {
	tb.Helper()
	t.Abort()
	select {
	case <-t.done:
		return t.outcome
	case <-time.After(harness.Patience):
		return Outcome{Err: errAborted}
	}
}

func (t *Transfer) end(o Outcome) {
	o.Took = time.Since(t.start)
	t.outcome = o
	close(t.done)
}

// wait holds a transfer for a moment, and reports whether it is still held.
func (t *Transfer) wait(ctx context.Context) bool {
	select {
	case <-t.release:
		return false
	case <-ctx.Done():
		return false
	case <-time.After(heldPause):
		return true
	}
}
