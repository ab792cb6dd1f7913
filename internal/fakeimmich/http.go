package fakeimmich

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // only called with values of this package
	}

	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]any{
		"message":    err.Error(),
		"error":      http.StatusText(status),
		"statusCode": status,
	})
}

// writeInterim sends a 1xx response with the given header only: net/http would add the headers that are already set for the
// final one.
func writeInterim(w http.ResponseWriter, status int, header http.Header) {
	final := w.Header().Clone()

	clear(w.Header())
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)

	clear(w.Header())
	maps.Copy(w.Header(), final)
}

func querySize(r *http.Request, fallback int64) (int64, error) {
	text := r.URL.Query().Get("size")
	if text == "" {
		return fallback, nil
	}

	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("size must be a number of bytes, not %q", text)
	}

	return size, nil
}

func queryDuration(r *http.Request, name string) (time.Duration, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}

	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s must be a duration such as 250ms, not %q", name, text)
	}

	return d, nil
}

// pause waits, and reports whether the client is still connected.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// discardBody reads the body to its end: before that, net/http neither notices that a client disconnects nor has the trailers.
func discardBody(r *http.Request) error {
	_, err := io.Copy(io.Discard, r.Body)
	return err
}
