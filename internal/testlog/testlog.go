// Package testlog is a log that tests read.
package testlog

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Log collects what is written to it. It may be used by several goroutines.
type Log struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
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

const (
	patience = 20 * time.Second
	interval = 5 * time.Millisecond
)

// Await waits until the log contains the text.
func (l *Log) Await(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(l.String(), text); time.Sleep(interval) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q: %s", text, l)
		}
	}
}
