package harness

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Program is what to run, and how.
type Program struct {
	Path       string
	Arguments  []string
	Environ    []string                       // in addition to that of the test
	Dir        string                         // to run it in; that of the test if not set
	Through    []string                       // a command that runs the program, such as prlimit
	Enter      func(start func() error) error // starts it somewhere else, such as in a network namespace
	Files      []*os.File                     // that it inherits, from descriptor 3 on
	Log        *Log                           // of an earlier run, which is continued
	OwnsStdin  bool                           // it reads the end of its standard input when the test's process ends
	StopSignal syscall.Signal                 // sent at the end of the test, before SIGKILL
}

// Process is a running program.
type Process struct {
	*os.Process

	Log   *Log
	name  string
	ended chan struct{}
	err   error // once ended is closed
}

// Start runs a program until the test ends, and shows its log if the test fails.
func Start(t testing.TB, path string, arguments ...string) *Process {
	t.Helper()
	return Program{Path: path, Arguments: arguments}.Start(t)
}

// Start runs the program until the test ends, and shows its log if the test fails.
func (p Program) Start(t testing.TB) *Process {
	t.Helper()
	line := append(append([]string{}, p.Through...), p.Path)
	line = append(line, p.Arguments...)
	command := exec.CommandContext(context.Background(), line[0], line[1:]...)
	command.Env = append(os.Environ(), p.Environ...)
	command.Dir = p.Dir
	command.ExtraFiles = p.Files
	log := p.Log
	if log == nil {
		log = &Log{}
	}
	command.Stdout, command.Stderr = log, log
	if p.OwnsStdin {
		if _, err := command.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.launch(command); err != nil {
		t.Fatal(err)
	}
	started := &Process{Process: command.Process, Log: log, name: filepath.Base(p.Path), ended: make(chan struct{})}
	go func() {
		started.err = command.Wait()
		close(started.ended)
	}()
	t.Cleanup(func() {
		started.stop(p.StopSignal)
		if t.Failed() {
			t.Logf("%s, process %d:\n%s", started.name, started.Pid, Tail(log.String()))
		}
	})
	return started
}

// launch starts the command so that the kernel ends it with the test's process, which runs no cleanups when it times out. It does not do
// so for a program with Enter, whose thread may end earlier.
func (p Program) launch(command *exec.Cmd) error {
	if p.Enter != nil {
		return p.Enter(command.Start)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: cmp.Or(p.StopSignal, syscall.SIGKILL)}
	return onLastingThread(command.Start)
}

var starts = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// onLastingThread runs start on a thread that lasts as long as the process, since Linux sends Pdeathsig when the thread that started the
// program ends.
func onLastingThread(start func() error) error {
	done := make(chan error)
	starts() <- func() { done <- start() }
	return <-done
}

// stop kills the program, unless it ends after its stop signal, if it has one.
func (p *Process) stop(signal syscall.Signal) {
	if signal != 0 && p.Signal(signal) == nil {
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
		}
	}
	_ = p.Kill()
}

// Kill ends the program immediately, and returns when it has ended.
func (p *Process) Kill() error {
	err := p.Process.Kill()
	<-p.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Send sends a signal to the program, which must still run.
func (p *Process) Send(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := p.Signal(signal); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Wait returns when the program has ended, with an error unless its exit code was 0.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// ExitCode waits until the program has ended by itself.
func (p *Process) ExitCode(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		t.Fatalf("%s still runs after %s", p.name, limit)
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// AwaitListening waits until the program accepts connections at all the addresses.
func (p *Process) AwaitListening(t testing.TB, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		if !Eventually(func() bool { return p.Ended() || IsListening(address) }) {
			t.Fatalf("%s does not listen on %s\n%s", p.name, address, Tail(p.Log.String()))
		}
		if p.Ended() {
			t.Fatalf("%s has ended: %v\n%s", p.name, p.err, Tail(p.Log.String()))
		}
	}
}

// IsListening reports whether TCP connections to the address are accepted.
func IsListening(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
