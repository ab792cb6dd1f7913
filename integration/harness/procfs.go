package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// ProcNumber reads a number with a label from a file of a process in /proc, such as "VmHWM:" from status.
func ProcNumber(pid int, file, label string) (int64, error) {
	path := fmt.Sprintf("/proc/%d/%s", pid, file)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, label); found {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, label)
}

// PeakMemory is the peak of a process's memory, in bytes.
func PeakMemory(t testing.TB, pid int) int64 {
	t.Helper()
	return kilobytes(t, pid, "VmHWM:")
}

func kilobytes(t testing.TB, pid int, label string) int64 {
	t.Helper()
	number, err := ProcNumber(pid, "status", label)
	if err != nil {
		t.Fatal(err)
	}
	return number << 10
}

// PeakMemory is the peak of the program's memory, in bytes.
func (p *Process) PeakMemory(t testing.TB) int64 {
	t.Helper()
	return PeakMemory(t, p.Pid)
}

// Memory is how much memory the program has, in bytes.
func (p *Process) Memory(t testing.TB) int64 {
	t.Helper()
	return kilobytes(t, p.Pid, "VmRSS:")
}
