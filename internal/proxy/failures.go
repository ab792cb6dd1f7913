package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// statusClientGone is nginx's: nobody sees it but the log.
const statusClientGone = 499

// leaveTime is how long after its body has failed a client that has gone is known to have.
const leaveTime = 100 * time.Millisecond

// failure is how an error is told to the client, in the shape Immich gives its own.
type failure struct {
	Message    string `json:"message"`
	Error      string `json:"error"`
	StatusCode int    `json:"statusCode"`

	cause transfer.Cause // what ended the transfer; empty if it was refused, or never began
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
	if failed.StatusCode == statusClientGone {
		level = slog.LevelDebug
	}
	f.logger.Log(r.Context(), level, "a request failed", "status", failed.StatusCode, "reason", failed.Message,
		"method", r.Method, "path", logging.Path(r.URL), "error", err)

	body, _ := json.Marshal(failed) // can't fail
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(failed.StatusCode)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// failureOf looks for the client's part in it first: it explains most of what is wrong at the other end.
func failureOf(ctx context.Context, err error) failure {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	_, cutBody := errors.AsType[clientError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case tooLarge:
		return failure{"The upload is larger than allowed", "Payload Too Large", http.StatusRequestEntityTooLarge, ""}
	case errors.Is(context.Cause(ctx), transfer.ErrIdleTimeout):
		return failure{"The upload stood still for too long", "Request Timeout", http.StatusRequestTimeout, transfer.Timeout}
	case hasGone(ctx, cutBody):
		return failure{"The client has gone", "Client Closed Request", statusClientGone, transfer.Client}
	case cutBody:
		return failure{"The request body is malformed", "Bad Request", http.StatusBadRequest, transfer.Client}
	case isDial(err) || errors.Is(err, errNoneHealthy):
		return failure{"Immich can't be reached", "Bad Gateway", http.StatusBadGateway, ""}
	case isTimeout && timeout.Timeout():
		return failure{"Immich did not answer in time", "Gateway Timeout", http.StatusGatewayTimeout, transfer.Timeout}
	case errors.Is(err, errNotHTTP):
		return failure{"Immich's answer is not valid", "Bad Gateway", http.StatusBadGateway, transfer.Upstream}
	default:
		return failure{"Immich broke off", "Bad Gateway", http.StatusBadGateway, transfer.Upstream}
	}
}

// hasGone tells whether the client is there no more. Its body, when that ends with it, may tell a little sooner than the
// context.
func hasGone(ctx context.Context, cutBody bool) bool {
	if !cutBody {
		return ctx.Err() != nil
	}
	select {
	case <-ctx.Done():
		return true
	case <-time.After(leaveTime):
		return false
	}
}
