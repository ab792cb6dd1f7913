package readiness

import (
	"syscall"
	"unsafe"
)

// readUnannounced does not wait, but Go's scheduler would assume so of a system call that takes more than 20 µs, as it does to read 1 MB: it
// would give the processor to another thread, and look every 20 µs for the next millisecond whether there are more such calls (retake
// and sysmon in runtime/proc.go). So it is not told.
func readUnannounced(socket int, p []byte) (int, error) {
	n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(socket), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
