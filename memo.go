package immichaccess

import (
	"sync"
	"sync/atomic"
)

// Limits of a memo, since clients can send new texts without end.
const (
	mostRemembered    = 1000
	longestRemembered = 4096
)

// memo caches results by text. When it is full, it is emptied, which costs less than tracking what was used last.
type memo struct {
	entries sync.Map // by the text
	count   int32    // about; atomic
}

func (m *memo) add(text string, found any) {
	if len(text) > longestRemembered {
		return
	}
	if atomic.AddInt32(&m.count, 1) > mostRemembered {
		m.entries.Range(func(known, _ any) bool {
			m.entries.Delete(known)
			return true
		})
		atomic.StoreInt32(&m.count, 1)
	}
	m.entries.Store(text, found)
}
