// Package harness has what the integration tests share: it builds and runs programs, waits for conditions, and has clients,
// certificates, a test CA and a fake Immich. It links nothing of Traefik's, so that tests of the standalone proxy build quickly.
package harness

import (
	"testing"
	"time"
)

// Patience is how long to wait for what should happen at once, on a machine that has other things to do.
const Patience = 2 * time.Minute

// Await waits until something is the case.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	AwaitWithin(t, Patience, what, done)
}

// AwaitWithin fails the test unless something is the case in time.
func AwaitWithin(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	if !Within(limit, done) {
		t.Fatalf("waited %s in vain for %s", limit, what)
	}
}

// Eventually reports whether something is the case, and waits for it as long as that may take on a slow machine.
func Eventually(done func() bool) bool {
	return Within(Patience, done)
}

// Within waits until something is the case, and reports whether it was in time.
func Within(limit time.Duration, done func() bool) bool {
	for deadline := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
