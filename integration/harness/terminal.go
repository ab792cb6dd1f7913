package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is what a user sees of a program, and types.
type Terminal struct {
	Log      *Log // what the program has written, and the echo of what was typed
	keyboard *os.File
	ended    chan struct{}
	err      error // once ended is closed
}

// StartInTerminal runs a program in a pseudo-terminal until the test ends.
func StartInTerminal(t testing.TB, directory, path string, arguments ...string) *Terminal {
	t.Helper()
	keyboard, screen := openTerminal(t)
	command := exec.Command(path, arguments...)
	command.Dir = directory
	command.Stdin, command.Stdout, command.Stderr = screen, screen, screen
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = screen.Close() // the program has it, and the terminal ends with the program
	terminal := &Terminal{Log: &Log{}, keyboard: keyboard, ended: make(chan struct{})}
	go func() {
		_, _ = keyboard.WriteTo(terminal.Log) // until the terminal has ended, which is an error
		terminal.err = command.Wait()
		close(terminal.ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = keyboard.Close()
		if t.Failed() {
			t.Logf("the terminal:\n%s", Tail(terminal.Log.String()))
		}
	})
	return terminal
}

// openTerminal opens both ends of a new pseudo-terminal: see pts(4).
func openTerminal(t testing.TB) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	descriptor := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(descriptor, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(descriptor, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return keyboard, screen
}

// Answer waits for the last line to end with the prompt, and types the answer after it.
func (term *Terminal) Answer(t testing.TB, prompt, answer string) {
	t.Helper()
	Await(t, prompt, func() bool { return strings.HasSuffix(term.Log.String(), prompt) || term.hasEnded() })
	if term.hasEnded() {
		t.Fatalf("the program has ended before it asked %q", prompt)
	}
	term.Type(t, answer+"\n")
}

func (term *Terminal) hasEnded() bool {
	select {
	case <-term.ended:
		return true
	default:
		return false
	}
}

// Type sends what keys send: "\x03" is Ctrl+C, "\x04" Ctrl+D.
func (term *Terminal) Type(t testing.TB, text string) {
	t.Helper()
	if _, err := term.keyboard.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// ExitCode waits until the program has ended.
func (term *Terminal) ExitCode(t testing.TB) int {
	t.Helper()
	Await(t, "the program to end", term.hasEnded)
	var exit *exec.ExitError
	if errors.As(term.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
