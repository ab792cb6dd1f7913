package qrcode

import (
	"strings"
	"testing"
)

// An independent decoder reads the codes in integration/loginpage.

func TestPlainAndColoredAreInverse(t *testing.T) {
	t.Parallel()
	const content = "https://photos.example.com/.immichaccess#ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	plain, err := Plain(content)
	if err != nil {
		t.Fatal(err)
	}
	colored, err := Colored(content)
	if err != nil {
		t.Fatal(err)
	}
	inverse := strings.NewReplacer(" ", "█", "▀", "▄", "▄", "▀", "█", " ", blackOnWhite, "", reset, "")
	if got := inverse.Replace(colored); got != plain {
		t.Errorf("inverted, the colored code is\n%s\nand the plain one\n%s", got, plain)
	}
	for i, line := range strings.Split(strings.TrimSuffix(plain, "\n"), "\n") {
		if !strings.HasPrefix(line, "████") || !strings.HasSuffix(line, "████") {
			t.Errorf("line %d has no margin: %s", i+1, line)
		}
	}
	for i, line := range strings.SplitAfter(strings.TrimSuffix(colored, "\n"), "\n") {
		if !strings.HasPrefix(line, blackOnWhite) || !strings.HasSuffix(strings.TrimSuffix(line, "\n"), reset) {
			t.Errorf("line %d begins or ends in the terminal's own colours: %q", i+1, line)
		}
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("a", 3000)
	if _, err := Plain(content); err == nil {
		t.Error("Plain: no error")
	}
	if _, err := Colored(content); err == nil {
		t.Error("Colored: no error")
	}
}
