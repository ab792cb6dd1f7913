package server

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The error is constructed, since a test can't rely on a forbidden port: root may use all, and containers often allow all.
func TestRemedyOfPermissionDenied(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("listen.https: %w", &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)})
	for _, advice := range []string{"systemd", "setcap cap_net_bind_service=+ep", "another port"} {
		if text := remedy(err); !strings.Contains(text, advice) || strings.Contains(text, "\n") {
			t.Errorf("no %q in %q", advice, text)
		}
	}
}
