// Package traefik runs the real Traefik, built from its module, with the plugin as it stands in this repository.
package traefik

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
)

// Settings are a configuration of Traefik's, as in its YAML files.
type Settings map[string]any

// moduleDir is integration/, where plugins-local leads Traefik to the plugin.
func moduleDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// ExampleDir holds the files that users start from.
func ExampleDir() string {
	return filepath.Join(moduleDir(), "..", "examples", "traefik")
}

// Build compiles Traefik, which takes minutes the first time, and returns the path of the binary.
func Build(ctx context.Context) (string, error) {
	binary := filepath.Join(moduleDir(), "build", "traefik")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/traefik/traefik/v3/cmd/traefik")
	build.Dir = moduleDir()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Traefik: %w: %s", err, output)
	}
	return binary, nil
}

// Process is a running Traefik.
type Process struct {
	PID    int
	cancel context.CancelFunc
	done   chan error
}

// Start runs Traefik with the settings, which it writes to dir, and returns when Traefik listens on all the addresses.
func Start(ctx context.Context, binary, dir string, static, dynamic Settings, log io.Writer, addresses ...string) (*Process, error) {
	dynamicFile := filepath.Join(dir, "dynamic.yml")
	static["providers"] = Settings{"file": Settings{"filename": dynamicFile, "watch": true}, "providersThrottleDuration": "100ms"}
	experimental, _ := static["experimental"].(Settings)
	static["experimental"] = experimental.withLocalPlugin()
	static["global"] = Settings{"checkNewVersion": false, "sendAnonymousUsage": false}
	if err := errors.Join(Write(dynamicFile, dynamic), Write(filepath.Join(dir, "traefik.yml"), static)); err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, binary, "--configFile="+filepath.Join(dir, "traefik.yml"))
	command.Dir = moduleDir()
	command.Stdout, command.Stderr = log, log
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	if err := command.Start(); err != nil {
		cancel()
		return nil, err
	}
	p := &Process{PID: command.Process.Pid, cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- command.Wait() }()
	if err := p.awaitListening(addresses); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// withLocalPlugin has the plugin of this repository in the place of a released one.
func (s Settings) withLocalPlugin() Settings {
	local := Settings{"localPlugins": Settings{"immichaccess": Settings{"moduleName": "github.com/immichaccess/immichaccess"}}}
	for name, value := range s {
		if name != "plugins" {
			local[name] = value
		}
	}
	return local
}

// Write puts settings into a file in one step, so that Traefik never reads half of them.
func Write(file string, settings Settings) error {
	text, err := yaml.Marshal(settings)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// Stop ends Traefik and waits until it has gone.
func (p *Process) Stop() {
	p.cancel()
	<-p.done
}

// Wait returns when Traefik ends by itself.
func (p *Process) Wait() error {
	err := <-p.done
	p.done <- err
	return err
}

func (p *Process) awaitListening(addresses []string) error {
	deadline := time.After(time.Minute)
	for _, address := range addresses {
		for !isListening(address) {
			select {
			case err := <-p.done:
				p.done <- err
				return fmt.Errorf("Traefik has ended: %w", err) //nolint:staticcheck // a name
			case <-deadline:
				return fmt.Errorf("Traefik does not listen on %s", address) //nolint:staticcheck // a name
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// Await returns when the door answers with the status: Traefik listens before it knows any route.
func Await(ctx context.Context, url string, status int) error {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // Traefik's own, made at each start
		DisableKeepAlives: true,
	}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == status {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func isListening(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

const (
	firstPort = 20_000 // up to where Linux begins to number the ports of clients
	portCount = 12_000
)

var ports struct {
	mu   sync.Mutex
	next int
}

func init() {
	ports.next = rand.IntN(portCount) //nolint:gosec // so that two runs rarely meet
}

// FreeAddress returns a loopback address on which nothing listens yet, and which it has not returned before.
func FreeAddress() (string, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for range portCount {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+ports.next)
		ports.next = (ports.next + 1) % portCount
		if listener, err := net.Listen("tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", errors.New("all ports are taken")
}
