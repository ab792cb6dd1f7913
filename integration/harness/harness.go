// Package harness has what the integration tests share: it builds and runs programs, waits for conditions, and has clients,
// certificates, a test CA and a fake Immich. It links nothing of Traefik, so that tests of the standalone proxy build quickly.
package harness

import (
	"testing"
	"time"
)

// Patience is how long to wait, on a busy machine, for what should happen immediately.
const Patience = 2 * time.Minute

// Await waits until a condition holds, and fails the test if that takes too long.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	AwaitWithin(t, Patience, what, done)
}

// AwaitWithin fails the test unless a condition holds in time.
func AwaitWithin(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	if !Within(limit, done) {
		t.Fatalf("waited %s for %s", limit, what)
	}
}

// Eventually waits until a condition holds, as long as that may take on a slow machine, and reports whether it does.
func Eventually(done func() bool) bool {
	return Within(Patience, done)
}

// Within waits until a condition holds, and reports whether that was in time.
func Within(limit time.Duration, done func() bool) bool {
	for deadline := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
