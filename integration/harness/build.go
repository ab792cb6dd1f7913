package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// ModuleDir is integration/.
func ModuleDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// RepositoryDir is where go.mod of the plugin and of the standalone proxy is.
func RepositoryDir() string {
	return filepath.Dir(ModuleDir())
}

// Binary builds the standalone proxy, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	return Release.Build(t)
}

var built sync.Map // of name to func() error

// GoBuild compiles a package of the module in a directory to integration/build/NAME, once per process, and returns that path. A
// program that is up to date is not linked again, so that it costs little if the tests of several packages need the same one.
func GoBuild(ctx context.Context, name, directory, target string, flags ...string) (string, error) {
	return buildOnce(name, func(program string) error { return goBuild(ctx, program, directory, target, flags...) })
}

// buildOnce calls build the first time that the program is needed.
func buildOnce(name string, build func(program string) error) (string, error) {
	program := filepath.Join(ModuleDir(), "build", name)
	once, _ := built.LoadOrStore(name, sync.OnceValue(func() error { return whileLocked(program+".lock", func() error { return build(program) }) }))
	return program, once.(func() error)()
}

// whileLocked keeps the tests of other packages, which run in other processes, from building the same program at the same time.
func whileLocked(name string, build func() error) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	return build()
}

func goBuild(ctx context.Context, program, directory, target string, flags ...string) error {
	arguments := append([]string{"build", "-C", directory, "-o", program}, flags...)
	command := exec.CommandContext(ctx, "go", append(arguments, target)...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0") // some run in containers as well, which have no libraries
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, output)
	}
	return nil
}

// MustGoBuild is GoBuild in a test.
func MustGoBuild(t testing.TB, name, directory, target string) string {
	t.Helper()
	// Without the test's own context, since other tests in the process need the program too.
	program, err := GoBuild(context.Background(), name, directory, target)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// BuildCaddy compiles Caddy, which has its own module here, and returns the path of the program.
func BuildCaddy(t testing.TB) string {
	t.Helper()
	return MustGoBuild(t, "caddy", filepath.Join(ModuleDir(), "doctor", "caddy"), "github.com/caddyserver/caddy/v2/cmd/caddy")
}
