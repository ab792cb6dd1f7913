package door

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	gcPercent = 20
	ballast   = 20 << 20
)

// collectOften makes Go collect garbage when there are about 4 MB of it and a fifth of what is in use. Its own rule, as much
// as is in use, would almost double what a hundred uploads take; a low percentage alone would have it collect for every
// few requests while little is in use. The ballast counts as in use, but is never touched, so it takes no memory. GOGC and
// GOMEMLIMIT, where they are set, have their usual meaning. What is returned keeps it alive.
func collectOften() (release func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	debug.SetGCPercent(gcPercent)
	untouched := make([]byte, ballast)
	return func() { runtime.KeepAlive(untouched) }
}
