// Package dns tests how the proxy gets certificates, and what it says when it gets none, with a real DNS server (BIND) and Pebble, the test
// CA of Let's Encrypt's authors. All runs in a network of its own, where DNS is on port 53 and the CA validates over 443 and 80.
package dns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"golang.org/x/sys/unix"
)

// inside is set in the environment of the process that runs the tests.
const inside = "TEST_NAMESPACE"

func TestMain(m *testing.M) {
	runtime.LockOSThread() // the programs that it starts end with the thread
	if os.Getenv(inside) == "" {
		os.Exit(runInside())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		err = prepare(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// runInside runs this program again, with namespaces of its own for network and mounts.
func runInside() int {
	for _, tool := range []string{"named", "nsupdate", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "%v; Debian has it in bind9, bind9-dnsutils and iproute2\n", err)
			return 1
		}
	}
	if _, err := harness.GoBuild(context.Background(), "pebble", harness.ModuleDir(), "github.com/letsencrypt/pebble/v2/cmd/pebble"); err != nil { // here, where its modules can be downloaded
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	self := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	self.Env = append(os.Environ(), inside+"=1")
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	self.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		self.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		self.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		self.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := self.Run(); err != nil {
		if self.ProcessState == nil {
			fmt.Fprintf(os.Stderr, "a network namespace needs root, or a kernel that lets others have one: %v\n", err)
			return 1
		}
		return self.ProcessState.ExitCode()
	}
	return 0
}

// prepare turns loopback on, and has the system ask the test's DNS server.
func prepare(folder string) error {
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", secondary + "/8", "dev", "lo"}, // named listens only where an interface has the address
	} {
		if output, err := exec.CommandContext(context.Background(), "ip", arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, output)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	file := filepath.Join(folder, "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+primary+"\n"), 0o644); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return startNameservers(folder)
}

// first is the first line of a log with a text in it.
func first(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
