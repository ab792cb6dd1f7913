package readiness

import (
	"syscall"
	"unsafe"
)

// Go's scheduler is not told of these system calls, which do not wait. It would believe so of one that takes more than 20 µs, as it
// does to read 1 MB: it would give the processor to another thread, and look every 20 µs for the next millisecond whether there are
// more of them (retake and sysmon in runtime/proc.go).

func read(socket int, p []byte) (int, error) {
	return call(syscall.SYS_READ, socket, p)
}

func write(socket int, p []byte) (int, error) {
	return call(syscall.SYS_WRITE, socket, p)
}

func call(number uintptr, socket int, p []byte) (int, error) {
	n, _, err := syscall.RawSyscall(number, uintptr(socket), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
