//go:build !linux

package readiness

import "syscall"

func read(socket int, p []byte) (int, error) {
	return syscall.Read(socket, p)
}

func write(socket int, p []byte) (int, error) {
	return syscall.Write(socket, p)
}
