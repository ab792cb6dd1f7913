package server

import (
	"os"
	"strconv"
	"testing"
)

// TestSocketsOfAnotherProcess inherits what systemd has passed to a parent: descriptors that are not sockets for this process.
func TestSocketsOfAnotherProcess(t *testing.T) {
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_FDNAMES", "https")
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getppid()))
	given, err := activated()
	if err != nil || len(given.streams)+len(given.packets) != 0 {
		t.Errorf("%+v, %v", given, err)
	}
}
