package harness

import (
	"os"
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
