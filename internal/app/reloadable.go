package app

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/server"
	"github.com/immichaccess/immichaccess/internal/transfer"
)

// ownKeyNameHeader carries the name of the key from the handler to the log and the metrics, and no further.
const ownKeyNameHeader = "X-Immichaccess-Key-Name"

// reloadableHandler is an access-key handler whose options a reload can change. immichaccess.New makes a handler for one set of
// options, so a reload makes another and stores it in current. Running requests keep the handler that they began with.
type reloadableHandler struct {
	next    http.Handler
	current atomic.Pointer[http.Handler]
	end     context.CancelFunc // of the current handler's context
}

func newReloadableHandler(access immichaccess.Config, next http.Handler) (*reloadableHandler, error) {
	r := &reloadableHandler{next: next, end: func() {}}
	return r, r.set(access)
}

// set replaces the handler, unless the options are invalid.
func (r *reloadableHandler) set(access immichaccess.Config) error {
	forward := access.KeyNameHeader != ""
	if !forward {
		access.KeyNameHeader = ownKeyNameHeader
	}
	ctx, end := context.WithCancel(context.Background())
	next := server.NoteForwarded(transfer.WithIdentity(access.KeyNameHeader, forward, r.next))
	handler, err := immichaccess.New(ctx, next, &access, "")
	if err != nil {
		end()
		return err
	}
	r.current.Store(&handler)
	r.end()
	r.end = end
	return nil
}

func (r *reloadableHandler) close() {
	r.end()
}

func (r *reloadableHandler) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	(*r.current.Load()).ServeHTTP(w, request)
}
