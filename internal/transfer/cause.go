package transfer

import (
	"context"
	"errors"
	"sync/atomic"
)

// Cause is what ended a transfer prematurely.
type Cause string

// The causes, as the access log and the metrics show them.
const (
	Client   Cause = "client"   // it closed the connection or the stream, or broke the protocol
	Upstream Cause = "upstream" // Immich did
	Timeout  Cause = "timeout"  // timeouts.idle or timeouts.upstream
	Limit    Cause = "limit"    // access.maxUploadSize, when the response had already begun
	Shutdown Cause = "shutdown" // timeouts.shutdown, or a second signal
)

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Abort records why the transfer of a context has failed. Only the first cause is kept, since the others are consequences.
func Abort(ctx context.Context, cause Cause) {
	if x := exchangeOf(ctx); x != nil {
		x.abort(cause)
	}
}

func (x *exchange) abort(cause Cause) {
	if s := x.socket.Load(); s != nil {
		s.abort(cause)
		return
	}
	x.outcome.abort(cause)
}

// outcome is how a transfer ends.
type outcome struct {
	tracker *Tracker
	cause   atomic.Pointer[Cause]
}

func (o *outcome) abort(cause Cause) {
	if o.tracker.closed.Load() {
		cause = Shutdown
	}
	o.cause.CompareAndSwap(nil, &cause)
}

// aborted is empty for a complete transfer.
func (o *outcome) aborted() Cause {
	if cause := o.cause.Load(); cause != nil {
		return *cause
	}
	return ""
}

// abortResponse determines the cause when the rest of the response can't be read: it is Immich only if the client did nothing
// that explains it.
func (x *exchange) abortResponse(ctx context.Context) {
	switch body := x.body; {
	case errors.Is(context.Cause(ctx), ErrIdleTimeout):
		x.abort(Timeout)
	case body != nil && body.overLimit.Load():
		x.abort(Limit)
	case ctx.Err() != nil, body != nil && body.failed.Load():
		x.abort(Client)
	default:
		x.abort(Upstream)
	}
}
