package testbed

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// Footprint is how many resources a program uses.
type Footprint struct {
	Descriptors int
	Threads     int
	Goroutines  int   // 0 if unknown
	Memory      int64 // anonymous memory in bytes
	Upstream    int   // connections to Immich, in whatever state
}

func (f Footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d threads, %d goroutines, %d MB, %d connections to Immich",
		f.Descriptors, f.Threads, f.Goroutines, f.Memory>>20, f.Upstream)
}

// footprintOf reads /proc; connections to Immich are recognized by its port.
func footprintOf(pid int, immich string) (Footprint, error) {
	folder := fmt.Sprintf("/proc/%d/", pid)
	descriptors, err := os.ReadDir(folder + "fd")
	if err != nil {
		return Footprint{}, err
	}
	threads, err := harness.ProcNumber(pid, "status", "Threads:")
	if err != nil {
		return Footprint{}, err
	}
	memory, err := harness.ProcNumber(pid, "status", "RssAnon:")
	if err != nil {
		return Footprint{}, err
	}
	f := Footprint{Descriptors: len(descriptors), Threads: int(threads), Memory: memory << 10}
	f.Upstream, err = connectionsTo(folder, immich)
	return f, err
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
		target, _ := os.Readlink(folder + "fd/" + d.Name()) // it may have been closed
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
