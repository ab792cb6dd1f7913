package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/immichaccess/immichaccess/internal/logging"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// statusClientGone is nginx's: nobody sees it but the log.
const statusClientGone = 499

// failure is how an error is told to the client, in the shape Immich gives its own.
type failure struct {
	Message    string `json:"message"`
	Error      string `json:"error"`
	StatusCode int    `json:"statusCode"`
}

type failures struct {
	logger *slog.Logger
}

func (f failures) answer(w http.ResponseWriter, r *http.Request, err error) {
	failed := failureOf(r.Context(), err)
	level := slog.LevelWarn
	if failed.StatusCode == statusClientGone {
		level = slog.LevelDebug
	}
	f.logger.Log(r.Context(), level, "a request failed", "status", failed.StatusCode, "reason", failed.Message,
		"method", r.Method, "path", logging.Path(r.URL), "error", err)

	if r.ProtoMajor == 1 && failed.StatusCode < http.StatusInternalServerError {
		w.Header().Set("Connection", "close") // the rest of the body has no reader
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	body, _ := json.Marshal(failed) // can't fail
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
		return failure{"The upload is larger than allowed", "Payload Too Large", http.StatusRequestEntityTooLarge}
	case errors.Is(context.Cause(ctx), transfer.ErrSilent):
		return failure{"The upload stood still for too long", "Request Timeout", http.StatusRequestTimeout}
	case ctx.Err() != nil || cutBody:
		return failure{"The client has gone", "Client Closed Request", statusClientGone}
	case isDial(err) || errors.Is(err, errNoneHealthy):
		return failure{"Immich can't be reached", "Bad Gateway", http.StatusBadGateway}
	case isTimeout && timeout.Timeout():
		return failure{"Immich did not answer in time", "Gateway Timeout", http.StatusGatewayTimeout}
	default:
		return failure{"Immich broke off", "Bad Gateway", http.StatusBadGateway}
	}
}
