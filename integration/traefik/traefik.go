// Package traefik runs the real Traefik as a program, built from its module, with the plugin of this repository. It links
// nothing of Traefik. Its tests check the plugin in Traefik.
package traefik

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"go.yaml.in/yaml/v3"
)

// Settings are a configuration of Traefik's, as in its YAML files.
type Settings map[string]any

// PluginName is the plugin's name in the configuration of Traefik.
const PluginName = "immichaccess"

// Plugin is a middleware of the plugin with the options.
func Plugin(options Settings) Settings {
	return Settings{"plugin": Settings{PluginName: options}}
}

// Service leads to a server at the URL.
func Service(url string) Settings {
	return Settings{"loadBalancer": Settings{"servers": []Settings{{"url": url}}}}
}

// FastProxy is a static configuration with Traefik's fast proxy, an experimental implementation.
func FastProxy() Settings {
	return Settings{"experimental": Settings{"fastProxy": Settings{}}}
}

// Build compiles Traefik, which takes minutes the first time, and returns the path of the binary.
func Build(ctx context.Context) (string, error) {
	return harness.GoBuild(ctx, "traefik", harness.ModuleDir(), "github.com/traefik/traefik/v3/cmd/traefik")
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
	command.Dir = harness.ModuleDir() // where plugins-local leads to the plugin
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

// withLocalPlugin adds the plugin of this repository, in place of a released one.
func (s Settings) withLocalPlugin() Settings {
	local := Settings{"localPlugins": Settings{"immichaccess": Settings{"moduleName": "github.com/immichaccess/immichaccess"}}}
	for name, value := range s {
		if name != "plugins" {
			local[name] = value
		}
	}
	return local
}

// Write writes settings to a file in one step, so that Traefik never reads half of them.
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

// Stop ends Traefik, and returns when it has ended.
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
	deadline := time.After(harness.Patience)
	for _, address := range addresses {
		for !harness.IsListening(address) {
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

// Await returns when Traefik answers with the status: it listens before it has read its routes.
func Await(ctx context.Context, url string, status int) error {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   harness.AnyCertificate(), // Traefik makes its own at each start
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
