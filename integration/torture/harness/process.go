package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/traefik"
)

// patience is how long anything may take on a slow machine that has other things to do.
const patience = time.Minute

// Log collects what a program writes.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
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

// Mark returns where the log ends now, for Since.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// Since returns what was written after the mark.
func (l *Log) Since(mark int) string {
	return l.String()[mark:]
}

// Await waits until a text is in the log, after the mark.
func (l *Log) Await(t testing.TB, mark int, text string) {
	t.Helper()
	if !Eventually(func() bool { return strings.Contains(l.Since(mark), text) }) {
		t.Fatalf("the log does not say %q:\n%s", text, l.Since(mark))
	}
}

// Eventually waits until something is so, for as long as that may take on a slow machine.
func Eventually(so func() bool) bool {
	return Within(patience, so)
}

// Within waits until something is so, and reports whether it was in time.
func Within(d time.Duration, so func() bool) bool {
	for deadline := time.Now().Add(d); !so(); time.Sleep(25 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Process is a running program.
type Process struct {
	PID  int
	Log  *Log
	name string
	done chan struct{}
	err  error // once done is closed
}

// program is what to run, and how.
type program struct {
	path      string
	arguments []string
	environ   []string
	through   []string   // a command that runs it, such as prlimit
	namespace *Namespace // nil for the machine's own
	log       *Log       // of an earlier run, to go on with
	tied      bool       // its standard input ends with this process
}

// run starts the program, which ends with the test. Its log is shown if the test fails.
func (p program) run(t testing.TB) *Process {
	t.Helper()
	line := append(append([]string{}, p.through...), p.path)
	line = append(line, p.arguments...)
	command := exec.CommandContext(context.Background(), line[0], line[1:]...)
	command.Env = append(os.Environ(), p.environ...)
	started := &Process{Log: p.log, name: filepath.Base(p.path), done: make(chan struct{})}
	if started.Log == nil {
		started.Log = &Log{}
	}
	command.Stdout, command.Stderr = started.Log, started.Log
	if p.tied {
		if _, err := command.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.namespace.do(command.Start); err != nil {
		t.Fatal(err)
	}
	started.PID = command.Process.Pid
	go func() {
		started.err = command.Wait()
		close(started.done)
	}()
	t.Cleanup(func() {
		started.Kill()
		if t.Failed() {
			t.Logf("%s, process %d:\n%s", started.name, started.PID, tail(started.Log.String()))
		}
	})
	return started
}

func tail(log string) string {
	const most = 64 << 10
	return log[max(0, len(log)-most):]
}

// Signal sends a signal to the program, and to no other.
func (p *Process) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := p.signal(signal); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

func (p *Process) signal(signal syscall.Signal) error {
	select {
	case <-p.done: // its number may be another's by now
		return os.ErrProcessDone
	default:
		return syscall.Kill(p.PID, signal)
	}
}

// Kill ends the program at once, and returns when it has gone.
func (p *Process) Kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.done
}

// Exited waits until the program has ended by itself, and returns its exit code.
func (p *Process) Exited(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s still runs after %s", p.name, within)
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Running reports whether the program has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// FreeAddress returns an address of the loopback interface on which nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := traefik.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Footprint is what a program occupies.
type Footprint struct {
	Descriptors int
	Threads     int
	Goroutines  int   // 0 where nothing tells them
	Memory      int64 // bytes that are its own
	Upstream    int   // connections to Immich, in whatever state
}

func (f Footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d threads, %d goroutines, %d MB, %d connections to Immich",
		f.Descriptors, f.Threads, f.Goroutines, f.Memory>>20, f.Upstream)
}

// footprint reads from /proc; connections to Immich are told by its port.
func (p *Process) footprint(immich string) (Footprint, error) {
	folder := fmt.Sprintf("/proc/%d/", p.PID)
	descriptors, err := os.ReadDir(folder + "fd")
	if err != nil {
		return Footprint{}, err
	}
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return Footprint{}, err
	}
	f := Footprint{
		Descriptors: len(descriptors), Threads: int(statusNumber(status, "Threads:")), Memory: statusNumber(status, "RssAnon:") << 10,
	}
	f.Upstream, err = connectionsTo(folder, immich)
	return f, err
}

func statusNumber(status []byte, name string) int64 {
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, name); found {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// connectionsTo counts the TCP connections of a process to the address.
func connectionsTo(folder, address string) (int, error) {
	_, port, found := strings.Cut(address, ":")
	number, err := strconv.Atoi(port)
	if !found || err != nil {
		return 0, fmt.Errorf("%q is no address", address)
	}
	sockets := map[string]bool{}
	descriptors, err := os.ReadDir(folder + "fd")
	if err != nil {
		return 0, err
	}
	for _, d := range descriptors {
		target, _ := os.Readlink(folder + "fd/" + d.Name()) // it may have gone
		if inode, is := strings.CutPrefix(target, "socket:["); is {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, err := os.ReadFile(folder + "net/tcp")
	if err != nil {
		return 0, err
	}
	count := 0
	for line := range strings.Lines(string(table)) {
		const remote, inode = 2, 9
		fields := strings.Fields(line)
		if len(fields) > inode && strings.HasSuffix(fields[remote], fmt.Sprintf(":%04X", number)) && sockets[fields[inode]] {
			count++
		}
	}
	return count, nil
}
