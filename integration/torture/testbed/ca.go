// Package testbed has what the failure tests need: programs that can be made to fail, clients that note how each transfer ended, a CA and a network.
package testbed

import (
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// CA is Pebble behind a relay. Pebble stores nothing on disk, so to be down, it is not killed: the relay closes.
type CA struct {
	*Relay

	pebble *harness.Pebble
}

// StartCA runs one that issues certificates of a lifetime, until the test ends.
func StartCA(t testing.TB, lifetime time.Duration) *CA {
	t.Helper()
	pebble := harness.StartPebble(t, harness.PebbleOptions{Lifetime: lifetime, GoodNonces: true})
	ca := &CA{Relay: StartRelay(t, pebble.Address), pebble: pebble}
	pebble.Directory = "https://" + ca.Address + "/dir"
	return ca
}

// Hang stops the CA, until Continue.
func (c *CA) Hang(t testing.TB) {
	t.Helper()
	c.pebble.Send(t, syscall.SIGSTOP)
}

// Continue ends Hang.
func (c *CA) Continue(t testing.TB) {
	t.Helper()
	c.pebble.Send(t, syscall.SIGCONT)
}

// Options are for a proxy that gets its certificates from the CA and keeps them in the folder.
func (c *CA) Options(storage string) ProxyOptions {
	return ProxyOptions{Variant: &harness.FastRenewal, HTTPS: c.pebble.HTTPS, Arguments: c.pebble.Arguments(storage)}
}
