package filewatch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// watched is two files, and a clock that only the test advances.
type watched struct {
	*Files

	t     *testing.T
	clock time.Time
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	dir := t.TempDir()
	w := &watched{t: t, clock: time.Now()}
	w.Files = &Files{paths: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, now: func() time.Time { return w.clock }}
	for i := range w.paths {
		w.write(i, "at first")
	}
	w.clock = w.clock.Add(time.Hour)
	w.Accept()
	return w
}

func (w *watched) write(i int, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.paths[i], []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chtimes(w.paths[i], w.clock, w.clock); err != nil {
		w.t.Fatal(err)
	}
}

// wantChanged polls once for each expected result, at intervals.
func (w *watched) wantChanged(apart time.Duration, want ...bool) {
	w.t.Helper()
	for i, changed := range want {
		if got := w.Changed(); got != changed {
			w.t.Errorf("poll %d: changed is %v", i+1, got)
		}
		w.clock = w.clock.Add(apart)
	}
}

func TestNothingChanges(t *testing.T) {
	t.Parallel()
	newWatched(t).wantChanged(time.Hour, false, false)
}

func TestChangeCountsOnceItHasSettled(t *testing.T) {
	t.Parallel()
	for i := range 2 {
		w := newWatched(t)
		w.write(i, "another text")
		w.wantChanged(500*time.Millisecond, false, true, false)
	}
}

// A poll long after the change need not be repeated: the next one may be much later.
func TestOldChangeCountsImmediately(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.write(0, "another text")
	w.clock = w.clock.Add(settleTime)
	w.wantChanged(time.Second, true, false)
}

func TestFileBeingWritten(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	for i := range 6 {
		w.write(0, fmt.Sprint("piece ", i))
		w.wantChanged(100*time.Millisecond, (i+1)%maxPolls == 0)
	}
}

func TestFileWithAFutureTime(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.clock = w.clock.Add(time.Hour)
	w.write(0, "another text")
	w.clock = w.clock.Add(-time.Hour)
	w.wantChanged(time.Second, false, true, false)
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	if err := os.Remove(w.paths[1]); err != nil {
		t.Fatal(err)
	}
	w.wantChanged(time.Hour, false, false)
	w.write(1, "another text")
	w.wantChanged(time.Second, false, true, false)
}

// The configuration need not come from a file.
func TestNoFile(t *testing.T) {
	t.Parallel()
	f := New("")
	if f.Changed() {
		t.Error("no file has changed")
	}
}
