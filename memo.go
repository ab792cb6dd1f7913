package immichaccess

import (
	"sync"
	"sync/atomic"
)

// Bounds of what a memo holds: anybody can send something new.
const (
	mostRemembered    = 1000
	longestRemembered = 4096
)

// memo remembers what was found out about a text that comes again. When it is full, it forgets everything: that costs less than
// to know what was used last.
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
