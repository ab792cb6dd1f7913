package differential

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/traefik"
)

func TestStandalone(t *testing.T) {
	compare(t, startStandalone)
}

func TestTraefik(t *testing.T) {
	compare(t, func(t *testing.T, im *immich) gateway { return startTraefik(t, im, "Traefik", traefik.Settings{}) })
}

// Traefik's fast proxy, an experiment of its own, writes requests to Immich by other code.
func TestTraefikFastProxy(t *testing.T) {
	compare(t, func(t *testing.T, im *immich) gateway {
		return startTraefik(t, im, "Traefik's fast proxy", traefik.Settings{"experimental": traefik.Settings{"fastProxy": traefik.Settings{}}})
	})
}

// startStandalone runs the proxy once for each site.
func startStandalone(t *testing.T, im *immich) gateway {
	program := filepath.Join(t.TempDir(), "immichaccess")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-o", program, "./cmd/standalone")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	log := &logBuffer{}
	addresses := make([]string, len(sites))
	for i, s := range sites {
		addresses[i] = freeAddress(t)
		command := exec.CommandContext(context.Background(), program,
			"--listen.https="+addresses[i], "--listen.http=", "--upstreams="+im.url(i), "--acme.storage="+t.TempDir(),
			"--access.keys=phone:"+accessKey, "--access.maxWrongKeys=0", "--access.publicRoutes="+strings.Join(s.publicRoutes, ","),
			fmt.Sprintf("--access.browserLogin=%t", s.browserLogin), "--access.keylessNetworks="+strings.Join(s.keylessNetworks(), ","))
		command.Env = append(os.Environ(), "HOME="+t.TempDir())
		command.Stdout, command.Stderr = log, log
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = command.Process.Kill()
			_ = command.Wait()
		})
	}
	g := gateway{
		name: "standalone proxy", entries: 1, log: log.String,
		at: func(site, _ int) (string, string) { return addresses[site], "localhost" },
	}
	g.await(t)
	return g
}

// startTraefik runs one Traefik for all the sites, with two entry points: one as by default, and one that leaves paths as they are
// and believes every forwarding header.
func startTraefik(t *testing.T, im *immich, name string, static traefik.Settings) gateway {
	binary, err := traefik.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{freeAddress(t), freeAddress(t)}
	static["entryPoints"] = traefik.Settings{
		"default": traefik.Settings{"address": addresses[0], "http3": traefik.Settings{}},
		"lenient": traefik.Settings{
			"address": addresses[1], "http3": traefik.Settings{}, "http": traefik.Settings{"sanitizePath": false},
			"forwardedHeaders": traefik.Settings{"insecure": true},
		},
	}
	routers, middlewares, services := traefik.Settings{}, traefik.Settings{}, traefik.Settings{}
	for i, s := range sites {
		middlewares[s.name] = traefik.Settings{"plugin": traefik.Settings{"immichaccess": traefik.Settings{
			"keys": []string{"phone:" + accessKey}, "maxWrongKeys": "0", "publicRoutes": s.publicRoutes, "browserLogin": s.browserLogin,
			"keylessNetworks": s.keylessNetworks(),
		}}}
		routers[s.name] = traefik.Settings{
			"rule": "Host(`" + s.host() + "`)", "service": s.name, "middlewares": []string{s.name}, "tls": traefik.Settings{},
			"entryPoints": []string{"default", "lenient"},
		}
		services[s.name] = traefik.Settings{"loadBalancer": traefik.Settings{"servers": []traefik.Settings{{"url": im.url(i)}}}}
	}
	log := &logBuffer{}
	dynamic := traefik.Settings{"http": traefik.Settings{"routers": routers, "middlewares": middlewares, "services": services}}
	process, err := traefik.Start(context.Background(), binary, t.TempDir(), static, dynamic, log, addresses...)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(process.Stop)
	g := gateway{
		name: name, entries: len(addresses), log: log.String,
		at: func(site, entry int) (string, string) { return addresses[entry], sites[site].host() },
	}
	g.await(t)
	return g
}

func (s site) host() string {
	return s.name + ".example.com"
}

func (s site) keylessNetworks() []string {
	if s.keyless {
		return []string{homeAddress}
	}
	return nil
}

// await returns when every address refuses a request without a key, over each protocol.
func (g gateway) await(t *testing.T) {
	t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for i := range sites {
		for entry := range g.entries {
			for _, p := range protocols {
				for !g.refuses(p, i, entry) {
					if time.Now().After(end) {
						t.Fatalf("%s does not refuse a request at site %s over %s\n%s", g.name, sites[i].name, p, g.log())
					}
					time.Sleep(20 * time.Millisecond)
				}
			}
		}
	}
}

func (g gateway) refuses(p protocol, site, entry int) bool {
	address, host := g.at(site, entry)
	c, err := dial(p, awayAddress, address)
	if err != nil {
		return false
	}
	defer c.close()
	status, _ := c.exchange(request{method: "GET", path: "/api/users/me"}, host, "await")
	return status == 403
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := traefik.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// logBuffer collects what a gateway logs.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
