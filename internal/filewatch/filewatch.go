// Package filewatch detects that files have changed, by polling.
package filewatch

import (
	"os"
	"time"
)

const (
	settleTime = time.Second // without a change, after which a file counts as complete
	maxPolls   = 3           // of files that are different each time
)

// Files are files that belong together. It is not safe for concurrent use.
type Files struct {
	paths   []string
	seen    []os.FileInfo // as of the last change
	pending []os.FileInfo // as of the last poll, while a change has not settled
	polls   int           // since the files are different
	now     func() time.Time
}

// New begins with the current state of the files.
func New(paths ...string) *Files {
	f := &Files{paths: paths, now: time.Now}
	f.Accept()
	return f
}

// Accept makes the current state of the files the known one, for callers that are about to read them.
func (f *Files) Accept() {
	f.seen, f.pending, f.polls = f.stat(), nil, 0
}

// Changed reports, once for each change, that the files are different and may be read. Files that were written just now may not
// be complete: they count when they have not changed for a second or between two polls, or after three polls. A missing file is
// not a change: either it is about to be replaced, or there is nothing to read.
func (f *Files) Changed() bool {
	current := f.stat()
	if current == nil {
		f.pending, f.polls = nil, 0
		return false
	}
	if same(f.seen, current) {
		f.pending, f.polls = nil, 0
		return false
	}
	f.polls++
	settled := same(f.pending, current) || f.isOld(current)
	f.pending = current
	if !settled && f.polls < maxPolls {
		return false
	}
	f.seen, f.pending, f.polls = current, nil, 0
	return true
}

// stat returns nil if a file is missing.
func (f *Files) stat() []os.FileInfo {
	infos := make([]os.FileInfo, len(f.paths))
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil
		}
		infos[i] = info
	}
	return infos
}

func (f *Files) isOld(infos []os.FileInfo) bool {
	for _, info := range infos {
		if f.now().Sub(info.ModTime()) < settleTime {
			return false
		}
	}
	return true
}

func same(a, b []os.FileInfo) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}
