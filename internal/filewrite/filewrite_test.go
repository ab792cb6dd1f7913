package filewrite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/immichaccess/immichaccess/internal/filewrite"
)

// wantFiles requires that the directory has these files and nothing else, no temporary file either.
func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if wanted, expected := want[entry.Name()]; !expected || wanted != string(content) {
			t.Errorf("%s has %q, want %q", entry.Name(), content, wanted)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d files, want %d", len(entries), len(want))
	}
}

func filesIn(dir string) []filewrite.File {
	return []filewrite.File{
		{Path: filepath.Join(dir, "a"), Content: []byte("new a"), Mode: 0o644},
		{Path: filepath.Join(dir, "b"), Content: []byte("new b"), Mode: 0o600},
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := filewrite.Create(filesIn(dir)...); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{"a": "new a", "b": "new b"})
	for _, f := range filesIn(dir) {
		if info, err := os.Stat(f.Path); err != nil || info.Mode() != f.Mode {
			t.Errorf("%s: %v, %v", f.Path, info.Mode(), err)
		}
	}
}

func TestCreateReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("old b"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := filewrite.Create(filesIn(dir)...)
	if want := "create " + filepath.Join(dir, "b") + ": file exists"; !errors.Is(err, fs.ErrExist) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	wantFiles(t, dir, map[string]string{"b": "old b"})
}

func TestReplaceKeepsTheOldFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, content := range []string{"older b", "old b"} {
		if err := filewrite.Replace(filewrite.File{Path: filepath.Join(dir, "b"), Content: []byte(content), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
	}
	if err := filewrite.Replace(filesIn(dir)...); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{"a": "new a", "b": "new b", "b.old": "old b"})
}

func TestReplaceRestoresWhatItCannotFinish(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("old a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "b.old", "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := filewrite.Replace(filesIn(dir)...); err == nil {
		t.Error("it did not fail")
	}
	if err := os.RemoveAll(filepath.Join(dir, "b.old")); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{"a": "old a"})
}
