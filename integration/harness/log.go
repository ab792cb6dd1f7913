package harness

import (
	"bytes"
	"flag"
	"io"
	"log"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	zlog "github.com/rs/zerolog/log"
)

// Log is the output of a program.
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

// Contains reports whether a text has been logged.
func (l *Log) Contains(text string) bool {
	return strings.Contains(l.String(), text)
}

// Mark returns the current end of the log, for Since.
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
		t.Fatalf("the log does not contain %q:\n%s", text, l.Since(mark))
	}
}

// Tail returns the end of a log that may be too long to be shown.
func Tail(log string) string {
	const limit = 64 << 10
	return log[max(0, len(log)-limit):]
}

// DiscardLogs keeps what handlers log in the test's process out of the output of a failed test. It is for TestMain.
func DiscardLogs() {
	flag.Parse()
	if !testing.Verbose() {
		log.SetOutput(io.Discard)
		zlog.Logger = zerolog.Nop()
	}
}
