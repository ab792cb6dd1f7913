// Package harness runs the programs that the tests try from outside.
package harness

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Patience is how long to wait for what should happen at once, on a machine that has other things to do.
const Patience = 2 * time.Minute

// Binary builds the standalone proxy, once for the tests of a package, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

var build = sync.OnceValues(func() (string, error) {
	_, self, _, _ := runtime.Caller(0)
	module := filepath.Join(filepath.Dir(self), "..")
	tests, err := os.Getwd()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(module, "build", filepath.Base(tests), "immichaccess") // packages are tested at the same time
	command := exec.CommandContext(context.Background(), "go", "build", "-C", filepath.Join(module, ".."), "-o", binary, "./cmd/standalone")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return binary, nil
})

// Process is a running program.
type Process struct {
	*os.Process

	Log   *Log
	ended chan struct{}
}

// Start runs a program until the test ends, and shows its log if the test fails.
func Start(t testing.TB, path string, arguments ...string) *Process {
	t.Helper()
	return StartWith(t, nil, path, arguments...)
}

// StartWith is Start with more in the program's environment.
func StartWith(t testing.TB, environ []string, path string, arguments ...string) *Process {
	t.Helper()
	log := &Log{}
	command := exec.CommandContext(context.Background(), path, arguments...)
	command.Env = append(os.Environ(), environ...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{command.Process, log, make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), log.tail())
		}
	})
	return p
}

// Ended is true of a program that runs no more.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Log is what a program writes.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *Log) tail() string {
	const most = 20_000
	text := l.String()
	return text[max(0, len(text)-most):]
}

// FreeAddress returns an address of loopback on which nothing listens, neither by TCP nor by UDP.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// Await waits until something is the case.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
