package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Memory is a limit of a program's memory, enforced by the kernel if possible.
type Memory struct {
	group string // directory of a control group; empty without one
	limit int64
}

const (
	groupsV1 = "/sys/fs/cgroup/memory"
	groupsV2 = "/sys/fs/cgroup"
)

// LimitMemory makes a control group with that limit. If that is not possible, such as without root, the peak is only compared
// with it.
func LimitMemory(t testing.TB, limit int64) *Memory {
	t.Helper()
	m := &Memory{limit: limit}
	name := fmt.Sprintf("immichaccess-test-%d", os.Getpid())
	for _, attempt := range []func(string, int64) (string, error){groupV1, groupV2} {
		group, err := attempt(name, limit)
		if err != nil {
			t.Logf("no control group: %v", err)
			continue
		}
		t.Logf("the limit of %d MB is enforced by the control group %s", limit>>20, group)
		m.group = group
		t.Cleanup(func() { _ = os.Remove(group) })
		return m
	}
	t.Logf("the limit of %d MB is not enforced, but compared with the peak", limit>>20)
	return m
}

func groupV1(name string, limit int64) (string, error) {
	group := filepath.Join(groupsV1, name)
	if _, err := os.Stat(filepath.Join(groupsV1, "memory.limit_in_bytes")); err != nil {
		return "", err
	}
	return group, makeGroup(group, "memory.limit_in_bytes", limit)
}

func groupV2(name string, limit int64) (string, error) {
	group := filepath.Join(groupsV2, name)
	if _, err := os.Stat(filepath.Join(groupsV2, "cgroup.controllers")); err != nil {
		return "", err
	}
	if err := delegateMemory(); err != nil {
		return "", err
	}
	if err := makeGroup(group, "memory.max", limit); err != nil {
		return "", err
	}
	_ = os.WriteFile(filepath.Join(group, "memory.swap.max"), []byte("0"), 0o600) // there may be no swap
	return group, nil
}

// delegateMemory enables limits in child groups. A group that has processes, such as the outermost one of a container, can't do
// so before they are moved.
func delegateMemory() error {
	control := filepath.Join(groupsV2, "cgroup.subtree_control")
	enable := func() error { return os.WriteFile(control, []byte("+memory"), 0o600) }
	if enable() == nil {
		return nil
	}
	aside := filepath.Join(groupsV2, "immichaccess-others")
	if err := os.Mkdir(aside, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	processes, err := os.ReadFile(filepath.Join(groupsV2, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, process := range strings.Fields(string(processes)) {
		_ = os.WriteFile(filepath.Join(aside, "cgroup.procs"), []byte(process), 0o600) // it may have ended
	}
	return enable()
}

func makeGroup(group, option string, limit int64) error {
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	err := os.WriteFile(filepath.Join(group, option), []byte(strconv.FormatInt(limit, 10)), 0o600)
	if err != nil {
		_ = os.Remove(group)
	}
	return err
}

// Start runs a program within the limit.
func (m *Memory) Start(t testing.TB, path string, arguments ...string) *Process {
	t.Helper()
	if m.group == "" {
		return Start(t, path, arguments...)
	}
	const enter = `echo $$ >"$0" && exec "$@"`
	return Start(t, "/bin/sh", append([]string{"-c", enter, filepath.Join(m.group, "cgroup.procs"), path}, arguments...)...)
}

// Check fails the test if the program has ended, or has exceeded the limit.
func (m *Memory) Check(t testing.TB, p *Process) {
	t.Helper()
	if p.Ended() {
		t.Fatal("the program has ended: the kernel may have killed it because of its memory")
	}
	peak := p.PeakMemory(t)
	t.Logf("the peak of its memory is %d MB so far", peak>>20)
	if peak > m.limit {
		t.Errorf("that is more than %d MB", m.limit>>20)
	}
}
