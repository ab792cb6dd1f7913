package semantics

import (
	"log"
	"net/http"
	"runtime/debug"
)

// LogPanic logs the panic of a handler as net/http does: not the one that aborts a response, http.ErrAbortHandler. Without a problem, there
// was none.
func LogPanic(server *http.Server, client string, problem any) {
	if problem == nil || problem == http.ErrAbortHandler { //nolint:errorlint // it may be anything
		return
	}
	logger := server.ErrorLog
	if logger == nil {
		logger = log.Default()
	}
	logger.Printf("http: panic serving %s: %v\n%s", client, problem, debug.Stack())
}
