package testbed

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// Immich is the fake Immich as a separate program, which can be killed, stopped and started again. It writes a journal of
// uploads, which remains when it is killed.
type Immich struct {
	Address string

	namespace *Namespace
	journal   string
	process   *harness.Process
}

// StartImmich runs one until the test ends.
func StartImmich(t testing.TB, namespace *Namespace) *Immich {
	t.Helper()
	i := &Immich{namespace: namespace, journal: filepath.Join(t.TempDir(), "journal")}
	if namespace == nil {
		i.Address = harness.FreeAddress(t)
	} else {
		i.Address = namespace.Address + ":2283"
	}
	i.Start(t)
	return i
}

// Start runs it, also after Kill.
func (i *Immich) Start(t testing.TB) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i.process = harness.Program{
		Path: self, Environ: []string{immichAddress + "=" + i.Address, journalFile + "=" + i.journal}, Enter: i.namespace.do, OwnsStdin: true,
	}.Start(t)
	i.process.Log.Await(t, 0, listening)
}

// URL is the upstream of the proxy.
func (i *Immich) URL() string { return "http://" + i.Address }

// Kill ends it immediately; the kernel closes its connections.
func (i *Immich) Kill() { _ = i.process.Kill() }

// Hang stops it, with all its connections open, until Continue.
func (i *Immich) Hang(t testing.TB) { i.process.Send(t, syscall.SIGSTOP) }

// Continue ends Hang.
func (i *Immich) Continue(t testing.TB) { i.process.Send(t, syscall.SIGCONT) }

// Entry is a line of the journal. An upload has one when it arrives, one when Immich has seen the last of its body, and one
// before Immich answers.
type Entry struct {
	Event    string
	Upload   string // its name
	Status   int    // of an answer
	Complete bool   // its body has arrived, to the last byte
	Checksum string // of what has arrived
}

// Events in the journal.
const (
	Arrived  = "arrived"
	Ended    = "ended"
	Answered = "answered"
)

// Journal returns the entries of an upload.
func (i *Immich) Journal(t testing.TB, upload string) []Entry {
	t.Helper()
	file, err := os.Open(i.journal)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var entries []Entry
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			break // it was killed while it wrote its last line
		}
		if e.Upload == upload {
			entries = append(entries, e)
		}
	}
	return entries
}

// Stored reports whether Immich has answered that it has the upload, and with this content.
func (i *Immich) Stored(t testing.TB, upload, checksum string) bool {
	t.Helper()
	for _, e := range i.Journal(t, upload) {
		if e.Event == Answered && e.Status < 300 && e.Complete && e.Checksum == checksum {
			return true
		}
	}
	return false
}

// Count returns how many events of a kind an upload has.
func (i *Immich) Count(t testing.TB, upload, event string) int {
	t.Helper()
	n := 0
	for _, e := range i.Journal(t, upload) {
		if e.Event == event {
			n++
		}
	}
	return n
}

// AwaitEnd waits until an upload has ended at Immich, and reports whether it is complete.
func (i *Immich) AwaitEnd(t testing.TB, upload string) (complete bool) {
	t.Helper()
	ended := func() bool { return i.Count(t, upload, Ended) > 0 }
	if !harness.Eventually(ended) {
		t.Fatalf("Immich has not seen the end of the upload %s", upload)
	}
	for _, e := range i.Journal(t, upload) {
		complete = complete || e.Event == Ended && e.Complete
	}
	return complete
}

const (
	immichAddress = "HARNESS_IMMICH" // the address to listen on
	journalFile   = "HARNESS_JOURNAL"
	listening     = "the fake Immich listens"
)

// Main runs the tests, or the fake Immich if this process was started for that.
func Main(run func() int) {
	address := os.Getenv(immichAddress)
	if address == "" {
		os.Exit(run())
	}
	go func() { // it ends with the test, however that ends
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := serveImmich(address, os.Getenv(journalFile)); err != nil {
		fmt.Fprintln(os.Stderr, strings.TrimSpace(err.Error()))
		os.Exit(1)
	}
}
