package immichaccess

import (
	"crypto/sha256"
	"sync"
	"time"
)

const mostLogouts = 256 // of one key

// logouts remembers the sessions that were logged out, until they would have expired.
type logouts struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*keyLogouts // by digest, since another handler may give the name to another key; guarded by mu
}

// keyLogouts are the log-outs of one key, so that many log-ins and log-outs with one key do not affect others.
type keyLogouts struct {
	ended  map[string]*session // by id, at most mostLogouts
	before int64               // sessions issued at this time or earlier have ended too: there was no room to store each
}

func (l *logouts) include(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.byKey[s.entry.digest]
	if k == nil {
		return false
	}
	return k.ended[s.id] != nil || s.issued <= k.before
}

func (l *logouts) add(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.byKey[s.entry.digest]
	if k == nil {
		k = &keyLogouts{ended: map[string]*session{}}
		l.byKey[s.entry.digest] = k
	}
	k.ended[s.id] = s
	k.forget(time.Now().Unix())
}

// forget drops the sessions that have expired and, if there are still too many, the one that was issued first; all that were
// issued before it then count as ended, too. The expiry times do not show the order, since the lifetime may have been changed.
func (k *keyLogouts) forget(now int64) {
	var first *session
	for id, s := range k.ended {
		if s.expires <= now {
			delete(k.ended, id)
		} else if first == nil || s.issued < first.issued {
			first = s
		}
	}
	if len(k.ended) > mostLogouts {
		k.before = first.issued
		delete(k.ended, first.id)
	}
}
