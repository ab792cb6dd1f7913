package traefik_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/conformance"
)

// TestPromisesInTraefik runs the conformance table on three entry points: without TLS, with TLS and HTTP/3, and one that accepts all
// forwarding headers.
func TestPromisesInTraefik(t *testing.T) {
	runTable(t, traefik.Settings{}, conformance.Run)
}

// Traefik's fast proxy, which is experimental, has its own code to drop the headers that Connection names.
func TestPromisesInFastProxy(t *testing.T) {
	runTable(t, traefik.FastProxy(), conformance.RunRequests)
}

func runTable(t *testing.T, static traefik.Settings, run func(*testing.T, conformance.Proxy)) {
	immich, url := harness.ServeImmich(t)
	addresses := map[string]string{"plain": harness.FreeAddress(t), "tls": harness.FreeAddress(t), "insecure": harness.FreeAddress(t)}
	entryPoints := traefik.Settings{}
	for name, address := range addresses {
		entryPoints[name] = traefik.Settings{"address": address}
	}
	entryPoints["tls"].(traefik.Settings)["http3"] = traefik.Settings{}
	entryPoints["insecure"].(traefik.Settings)["forwardedHeaders"] = traefik.Settings{"insecure": true}
	hosts := map[string]string{}
	dynamic := tableConfiguration(url, hosts)
	static["entryPoints"] = entryPoints
	gateway := traefik.Run(t, static, dynamic, addresses["plain"], addresses["tls"], addresses["insecure"])
	traefik.AwaitRoute(t, addresses["plain"], hosts[conformance.OptionSets()[0].String()], http.StatusForbidden)

	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			run(t, conformance.Proxy{
				HidesClaims: name != "insecure",
				CleansPaths: true,
				Open: func(_ *testing.T, options conformance.Options) conformance.Gateway {
					gateway := conformance.Gateway{Addr: address, Host: hosts[options.String()], Immich: immich}
					if name == "tls" {
						gateway.TLS, gateway.HTTP3 = harness.AnyCertificate(), true
					}
					return gateway
				},
			})
		})
	}
	if strings.Contains(gateway.Log.String(), conformance.Key) {
		t.Error("the key is in Traefik's log")
	}
}

// tableConfiguration has two routers, with and without TLS, for each set of options, and fills in their hosts.
func tableConfiguration(immich string, hosts map[string]string) traefik.Settings {
	routers, middlewares := traefik.Settings{}, traefik.Settings{}
	for i, options := range conformance.OptionSets() {
		name := "set" + strconv.Itoa(i)
		hosts[options.String()] = name + ".example.com"
		middlewares[name] = traefik.Plugin(traefik.Settings(options))
		router := traefik.Settings{"rule": "Host(`" + hosts[options.String()] + "`)", "service": "immich", "middlewares": []string{name}}
		tlsRouter := traefik.Settings{"rule": router["rule"], "service": "immich", "middlewares": []string{name}, "entryPoints": []string{"tls"}, "tls": traefik.Settings{}}
		router["entryPoints"] = []string{"plain", "insecure"}
		routers[name], routers[name+"-tls"] = router, tlsRouter
	}
	return traefik.Settings{"http": traefik.Settings{"routers": routers, "middlewares": middlewares, "services": traefik.Settings{"immich": traefik.Service(immich)}}}
}
