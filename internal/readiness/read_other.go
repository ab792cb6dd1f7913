//go:build !linux

package readiness

import "syscall"

func readUnannounced(socket int, p []byte) (int, error) {
	return syscall.Read(socket, p)
}
