package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	gcPercent = 20
	ballast   = 20 << 20
	// percentOfLimit leaves some of the control group's limit for memory outside the Go heap, such as the program itself and socket buffers.
	percentOfLimit = 75

	// Collecting a small heap every 15 s costs next to nothing.
	returnInterval = 15 * time.Second
	returnAbove    = 16 << 20
)

// tuneGC makes Go collect garbage when there are about 4 MB of it and a fifth of what is in use. Its own rule, as much
// as is in use, would almost double what a hundred uploads take; a low percentage alone would have it collect for every
// few requests while little is in use. The ballast counts as in use, but is never touched, so it takes no memory. GOGC and
// GOMEMLIMIT, where they are set, have their usual meaning. Near the limit of a container it collects as often as it must. What is returned ends it.
func tuneGC() (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	debug.SetGCPercent(gcPercent)
	untouched := make([]byte, ballast)
	if limit := memoryLimit(); limit > 0 {
		debug.SetMemoryLimit(limit*percentOfLimit/100 + ballast)
	}
	stopReturning := returnMemory()
	return func() {
		stopReturning()
		runtime.KeepAlive(untouched)
	}
}

// returnMemory returns unused memory to the system after a peak. Go does so by itself, but not before the next collection,
// which comes only after minutes in an idle proxy.
func returnMemory() (stop func()) {
	ticker := time.NewTicker(returnInterval)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				if heapSize() > ballast+returnAbove {
					debug.FreeOSMemory()
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}

// heapSize includes memory that is free but kept, and garbage that has not been collected yet.
func heapSize() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(samples)
	size := uint64(0)
	for _, sample := range samples {
		size += sample.Value.Uint64()
	}
	return size
}
