package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ReadFile returns the content of a file.
func ReadFile(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// WriteFile writes a file in place, as an editor may.
func WriteFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ReplaceFile replaces a file in one step, so that no reader sees half of it.
func ReplaceFile(t testing.TB, name, content string) {
	t.Helper()
	WriteFile(t, name+".new", content)
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// Example returns a file of examples/ with other text in it: each old text, which has to be there, is replaced by the new one that
// follows it.
func Example(t testing.TB, file string, replace ...string) string {
	t.Helper()
	text := ReadFile(t, filepath.Join(RepositoryDir(), "examples", file))
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s has no %q to be replaced", file, replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	return text
}
