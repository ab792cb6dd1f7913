// Package harness runs what tests of a whole system need: the standalone proxy as a program, a fake Immich as a program
// that can be killed and stopped, clients of each protocol whose transfers are checked to the last byte, and networks that
// are slow or cut.
package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// Variant is a build of the standalone proxy in which some lines of its libraries are replaced, for what nobody can wait
// for or may do to a machine. Nothing in the program itself is there for the tests.
type Variant struct {
	name    string
	replace []replacement
}

type replacement struct {
	file     string // in the repository, or, with a leading "std:", in Go's own source
	old, new string
}

// Release is the program as users get it.
var Release = Variant{name: "immichaccess"}

// Hurried looks after its certificates every second, and tries again after two, where certmagic takes minutes.
var Hurried = Variant{name: "immichaccess-hurried", replace: []replacement{
	{"vendor/github.com/caddyserver/certmagic/maintain.go", "DefaultRenewCheckInterval = 10 * time.Minute", "DefaultRenewCheckInterval = time.Second"},
	{"vendor/github.com/caddyserver/certmagic/ocsp.go", "Timeout: 30 * time.Second", "Timeout: time.Second"},
	{
		"vendor/github.com/caddyserver/certmagic/async.go",
		"var retryIntervals = []time.Duration{", "var retryIntervals = []time.Duration{2 * time.Second}\n\nvar _ = []time.Duration{",
	},
}}

// jumpFile names the environment variable with the file by which Jumping is told how far its clock is off.
const jumpFile = "HARNESS_CLOCK"

// Jumping has a wall clock that can be set while it runs, without setting that of the machine. The monotonic clock, on which
// Go's timers run, goes on undisturbed, as when an administrator sets the clock.
var Jumping = Variant{name: "immichaccess-jumping", replace: []replacement{{
	"std:time/time.go",
	"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n",
	"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tsec += clockOffset()\n",
}, {
	"std:time/sys_unix.go",
	"\t\"runtime\"\n\t\"syscall\"\n)\n",
	"\t\"runtime\"\n\t\"sync/atomic\"\n\t\"syscall\"\n)\n" + clockSource,
}}}

// clockSource follows the file with a goroutine: Now may be called where nothing can be read.
const clockSource = `
var clockSeconds int64

func clockOffset() int64 { return atomic.LoadInt64(&clockSeconds) }

func init() {
	file, found := syscall.Getenv("` + jumpFile + `")
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

// moduleFolder is integration/.
func moduleFolder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// programFolder is not the one of the other tests, which may build and run the same program at the same time.
func programFolder() string {
	return filepath.Join(moduleFolder(), "build", "torture")
}

var built sync.Map // of name to func() error

// once builds a program the first time that it is asked for.
func once(name string, build func() error) error {
	todo, _ := built.LoadOrStore(name, sync.OnceValue(build))
	return todo.(func() error)()
}

// Build compiles the proxy and returns the path of the program.
func (v Variant) Build(ctx context.Context) (string, error) {
	program := filepath.Join(programFolder(), v.name)
	return program, once(v.name, func() error {
		arguments := []string{"build", "-C", filepath.Dir(moduleFolder()), "-o", program}
		if len(v.replace) > 0 {
			folder, err := os.MkdirTemp("", "")
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(folder) }()
			overlay, err := v.overlay(ctx, folder)
			if err != nil {
				return err
			}
			arguments = append(arguments, "-overlay", overlay)
		}
		return runGo(ctx, append(arguments, "./cmd/standalone")...)
	})
}

// buildPebble compiles the ACME test server and its DNS.
func buildPebble(ctx context.Context) error {
	return once("pebble", func() error {
		return runGo(ctx, "build", "-C", moduleFolder(), "-o", programFolder()+"/",
			"github.com/letsencrypt/pebble/v2/cmd/pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv")
	})
}

func runGo(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, output)
	}
	return nil
}

// overlay writes the changed files, and what tells Go of them.
func (v Variant) overlay(ctx context.Context, folder string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	replaced := map[string]string{}
	for i, r := range v.replace {
		source := filepath.Join(filepath.Dir(moduleFolder()), r.file)
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
		return fmt.Errorf("%s has changed: %q is not in it once", source, r.old)
	}
	return os.WriteFile(target, []byte(strings.Replace(string(content), r.old, r.new, 1)), 0o600)
}
