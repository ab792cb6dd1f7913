package differential

import (
	"fmt"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
)

func TestStandalone(t *testing.T) {
	compare(t, startStandalone)
}

func TestTraefik(t *testing.T) {
	compare(t, func(t *testing.T, im *immich) gateway { return startTraefik(t, im, "Traefik", traefik.Settings{}) })
}

// Traefik's fast proxy, which is experimental, has its own code to write requests to Immich.
func TestTraefikFastProxy(t *testing.T) {
	compare(t, func(t *testing.T, im *immich) gateway {
		return startTraefik(t, im, "Traefik's fast proxy", traefik.FastProxy())
	})
}

// startStandalone runs the proxy once for each site.
func startStandalone(t *testing.T, im *immich) gateway {
	log := &harness.Log{}
	addresses := make([]string, len(sites))
	for i, s := range sites {
		addresses[i] = harness.FreeAddress(t)
		harness.Program{
			Path: harness.Binary(t),
			Arguments: []string{
				"--listen.https=" + addresses[i], "--listen.http=", "--upstreams=" + im.url(i), "--acme.storage=" + t.TempDir(),
				"--access.keys=phone:" + accessKey, "--access.maxWrongKeys=0", "--access.publicRoutes=" + strings.Join(s.publicRoutes, ","),
				fmt.Sprintf("--access.browserLogin=%t", s.browserLogin), "--access.keylessNetworks=" + strings.Join(s.keylessNetworks(), ","),
			},
			Environ: []string{"HOME=" + t.TempDir()},
			Log:     log,
		}.Start(t)
	}
	g := gateway{
		name: "standalone proxy", entries: 1, log: log,
		at: func(site, _ int) (string, string) { return addresses[site], "localhost" },
	}
	g.await(t)
	return g
}

// startTraefik runs one Traefik for all the sites, with two entry points: one with the defaults, and one that does not change paths
// and trusts every forwarding header.
func startTraefik(t *testing.T, im *immich, name string, static traefik.Settings) gateway {
	addresses := []string{harness.FreeAddress(t), harness.FreeAddress(t)}
	static["entryPoints"] = traefik.Settings{
		"default": traefik.Settings{"address": addresses[0], "http3": traefik.Settings{}},
		"lenient": traefik.Settings{
			"address": addresses[1], "http3": traefik.Settings{}, "http": traefik.Settings{"sanitizePath": false},
			"forwardedHeaders": traefik.Settings{"insecure": true},
		},
	}
	routers, middlewares, services := traefik.Settings{}, traefik.Settings{}, traefik.Settings{}
	for i, s := range sites {
		middlewares[s.name] = traefik.Plugin(traefik.Settings{
			"keys": []string{"phone:" + accessKey}, "maxWrongKeys": "0", "publicRoutes": s.publicRoutes, "browserLogin": s.browserLogin,
			"keylessNetworks": s.keylessNetworks(),
		})
		routers[s.name] = traefik.Settings{
			"rule": "Host(`" + s.host() + "`)", "service": s.name, "middlewares": []string{s.name}, "tls": traefik.Settings{},
			"entryPoints": []string{"default", "lenient"},
		}
		services[s.name] = traefik.Service(im.url(i))
	}
	dynamic := traefik.Settings{"http": traefik.Settings{"routers": routers, "middlewares": middlewares, "services": services}}
	running := traefik.Run(t, static, dynamic, addresses...)
	g := gateway{
		name: name, entries: len(addresses), log: running.Log,
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
		return []string{keylessAddress}
	}
	return nil
}

// await returns when every address refuses a request without a key, over each protocol.
func (g gateway) await(t *testing.T) {
	t.Helper()
	for i := range sites {
		for entry := range g.entries {
			for _, p := range protocols {
				if !harness.Eventually(func() bool { return g.refuses(p, i, entry) }) {
					t.Fatalf("%s does not refuse a request at site %s over %s\n%s", g.name, sites[i].name, p, g.log)
				}
			}
		}
	}
}

func (g gateway) refuses(p protocol, site, entry int) bool {
	address, host := g.at(site, entry)
	c, err := dial(p, otherAddress, address)
	if err != nil {
		return false
	}
	defer c.close()
	status, _ := c.exchange(request{method: "GET", path: "/api/users/me"}, host, "await")
	return status == 403
}
