package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/immichaccess/immichaccess/internal/answer"
	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// closeNoticeTime is how long after an error of the request body the context may take to end, if the client has closed the
// connection.
const closeNoticeTime = 100 * time.Millisecond

// failure is the response to an error.
type failure struct {
	status  int
	message string
	advice  string         // for users of a browser
	cause   transfer.Cause // what ended the transfer; empty if it was refused, or never began
}

type failures struct {
	logger *slog.Logger
}

func (f failures) answer(w http.ResponseWriter, r *http.Request, err error) {
	failed := failureOf(r.Context(), err)
	if failed.cause != "" {
		transfer.Abort(r.Context(), failed.cause)
	}
	level := slog.LevelWarn
	if failed.status == answer.StatusClientClosedRequest {
		level = slog.LevelDebug
	}
	f.logger.Log(r.Context(), level, "a request failed", "status", failed.status, "reason", failed.message,
		"method", r.Method, "path", logging.Path(r.URL), "error", logging.Error(err))
	answer.Error(w, r, failed.status, failed.message, failed.advice)
}

const (
	mayBeStarting = "It may be starting; try again in a minute."
	tryAgain      = "Try again."
)

// failureOf first checks whether the client is the cause: if it is, errors on Immich's side are consequences.
func failureOf(ctx context.Context, err error) failure {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	_, cutBody := errors.AsType[clientError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case tooLarge:
		return failure{http.StatusRequestEntityTooLarge, "The upload is larger than allowed", "Choose a smaller file.", ""}
	case errors.Is(context.Cause(ctx), transfer.ErrIdleTimeout):
		return failure{http.StatusRequestTimeout, "The client sent nothing for too long", tryAgain, transfer.Timeout}
	case isClosedByClient(ctx, cutBody):
		return failure{answer.StatusClientClosedRequest, "The client closed the connection", tryAgain, transfer.Client}
	case cutBody:
		return failure{http.StatusBadRequest, "The request body is malformed", tryAgain, transfer.Client}
	case isDial(err) || errors.Is(err, errNoneHealthy):
		return failure{http.StatusBadGateway, "Immich does not answer", mayBeStarting, ""}
	case isTimeout && timeout.Timeout():
		return failure{http.StatusGatewayTimeout, "Immich did not answer in time", "It may be busy; try again in a minute.", transfer.Timeout}
	case errors.Is(err, errNotHTTP):
		return failure{http.StatusBadGateway, "Immich's response is invalid", "Another program may be listening at Immich's address.", transfer.Upstream}
	default:
		return failure{http.StatusBadGateway, "Immich closed the connection", mayBeStarting, transfer.Upstream}
	}
}

// isClosedByClient reports whether the client has closed its connection or stream. An error of the body may precede the end of
// the context a little.
func isClosedByClient(ctx context.Context, cutBody bool) bool {
	if !cutBody {
		return ctx.Err() != nil
	}
	select {
	case <-ctx.Done():
		return true
	case <-time.After(closeNoticeTime):
		return false
	}
}
