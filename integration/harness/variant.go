package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Variant is a build of the standalone proxy in which some lines of its libraries are replaced, if a test could not wait for
// them or would have to change the machine. The proxy contains no code for the tests.
type Variant struct {
	name    string
	replace []replacement
}

type replacement struct {
	file     string // in the repository, or, with the prefix "std:", in Go's own source
	old, new string
}

// Release is the program as users get it.
var Release = Variant{name: "immichaccess"}

// FastRenewal checks its certificates every second, and tries again after two, where certmagic waits for minutes.
var FastRenewal = Variant{name: "immichaccess-fast-renewal", replace: []replacement{
	{"vendor/github.com/caddyserver/certmagic/maintain.go", "DefaultRenewCheckInterval = 10 * time.Minute", "DefaultRenewCheckInterval = time.Second"},
	{"vendor/github.com/caddyserver/certmagic/ocsp.go", "Timeout: 30 * time.Second", "Timeout: time.Second"},
	{
		"vendor/github.com/caddyserver/certmagic/async.go",
		"var retryIntervals = []time.Duration{", "var retryIntervals = []time.Duration{2 * time.Second}\n\nvar _ = []time.Duration{",
	},
}}

// ClockFile names the environment variable with the file that has the offset of AdjustableClock, in seconds.
const ClockFile = "HARNESS_CLOCK"

// AdjustableClock has a wall clock that can be set while it runs, without setting that of the machine. The monotonic clock, on which
// Go's timers run, is not affected, just as when an administrator sets the clock.
var AdjustableClock = Variant{name: "immichaccess-adjustable-clock", replace: []replacement{{
	"std:time/time.go",
	"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n",
	"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tsec += clockOffset()\n",
}, {
	"std:time/sys_unix.go",
	"\t\"runtime\"\n\t\"syscall\"\n)\n",
	"\t\"runtime\"\n\t\"sync/atomic\"\n\t\"syscall\"\n)\n" + clockSource,
}}}

// clockSource reads the file in a goroutine, since Now is also called where a file can't be read.
const clockSource = `
var clockSeconds int64

func clockOffset() int64 { return atomic.LoadInt64(&clockSeconds) }

func init() {
	file, found := syscall.Getenv("` + ClockFile + `")
	if !found {
		return
	}
	go func() {
		for ; ; Sleep(20 * Millisecond) {
			content, err := readFile(file)
			if err != nil || len(content) == 0 {
				continue
			}
			offset, sign := int64(0), int64(1)
			for _, c := range content {
				if c == '-' {
					sign = -1
				} else {
					offset = offset*10 + int64(c-'0')
				}
			}
			atomic.StoreInt64(&clockSeconds, sign*offset)
		}
	}()
}
`

// Build compiles the variant, and returns the path of the program.
func (v Variant) Build(t testing.TB) string {
	t.Helper()
	program, err := buildOnce(v.name, func(program string) error { return v.build(context.Background(), program) })
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func (v Variant) build(ctx context.Context, program string) error {
	if len(v.replace) == 0 {
		return goBuild(ctx, program, RepositoryDir(), "./cmd/standalone")
	}
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	overlay, err := v.overlay(ctx, folder)
	if err != nil {
		return err
	}
	return goBuild(ctx, program, RepositoryDir(), "./cmd/standalone", "-overlay", overlay)
}

// overlay writes the changed files to the folder, and the file that lists them for go build.
func (v Variant) overlay(ctx context.Context, folder string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	replaced := map[string]string{}
	for i, r := range v.replace {
		source := filepath.Join(RepositoryDir(), r.file)
		if name, std := strings.CutPrefix(r.file, "std:"); std {
			source = filepath.Join(strings.TrimSpace(string(root)), "src", name)
		}
		target := filepath.Join(folder, fmt.Sprintf("%d.go", i))
		if err := r.write(source, target); err != nil {
			return "", err
		}
		replaced[source] = target
	}
	content, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "overlay.json")
	return file, os.WriteFile(file, content, 0o600)
}

func (r replacement) write(source, target string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if strings.Count(string(content), r.old) != 1 {
		return fmt.Errorf("%s has changed: %q is not in it exactly once", source, r.old)
	}
	return os.WriteFile(target, []byte(strings.Replace(string(content), r.old, r.new, 1)), 0o600)
}
