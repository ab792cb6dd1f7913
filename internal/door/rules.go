package door

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

// rules decide who gets in. They can be exchanged while requests run: each keeps those it began with.
type rules struct {
	next    http.Handler
	current atomic.Pointer[http.Handler]
	end     context.CancelFunc // of the current ones
}

func newRules(access immichaccess.Config, next http.Handler) (*rules, error) {
	r := &rules{next: next, end: func() {}}
	return r, r.set(access)
}

// set leaves the old rules in force when the new ones are wrong.
func (r *rules) set(access immichaccess.Config) error {
	forward := access.KeyNameHeader != ""
	if !forward {
		access.KeyNameHeader = ownKeyNameHeader
	}
	ctx, end := context.WithCancel(context.Background())
	next := server.NoteForwarded(transfer.WithIntroduction(access.KeyNameHeader, forward, r.next))
	handler, err := immichaccess.New(ctx, next, &access, "access")
	if err != nil {
		end()
		return err
	}
	r.current.Store(&handler)
	r.end()
	r.end = end
	return nil
}

func (r *rules) close() {
	r.end()
}

func (r *rules) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	(*r.current.Load()).ServeHTTP(w, request)
}
