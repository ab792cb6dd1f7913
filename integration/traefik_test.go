package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

var buildOnce = sync.OnceValues(func() (string, error) { return traefik.Build(context.Background()) })

func binary(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// logBuffer collects what Traefik logs.
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

// start runs Traefik until the test ends, and shows its log if the test fails.
func start(t testing.TB, static, dynamic traefik.Settings, addresses ...string) (*traefik.Process, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	process, err := traefik.Start(context.Background(), binary(t), t.TempDir(), static, dynamic, log, addresses...)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() {
		process.Stop()
		if t.Failed() {
			t.Logf("Traefik's log:\n%s", tail(log.String()))
		}
	})
	return process, log
}

func tail(log string) string {
	return log[max(0, len(log)-20_000):]
}

func freeAddress(t testing.TB) string {
	t.Helper()
	address, err := traefik.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// serveImmich runs a fake Immich that closes idle connections as Immich does.
func serveImmich(t testing.TB) (*fakeimmich.Server, string) {
	t.Helper()
	immich := fakeimmich.New()
	server := httptest.NewUnstartedServer(immich)
	server.Config = immich.HTTPServer()
	server.Start()
	t.Cleanup(server.Close)
	return immich, server.URL
}

// anyCertificate skips the check of Traefik's own certificate, which is made anew at each start.
func anyCertificate() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}

// TestPromisesInTraefik runs the table on three entry points: plain, with TLS, and one that lets all forwarding headers in.
func TestPromisesInTraefik(t *testing.T) {
	runTable(t, traefik.Settings{}, conformance.Run)
}

// Traefik's fast proxy, an experiment of its own, is other code that has to drop what Connection names.
func TestPromisesInFastProxy(t *testing.T) {
	runTable(t, traefik.Settings{"experimental": traefik.Settings{"fastProxy": traefik.Settings{}}}, conformance.RunRequests)
}

func runTable(t *testing.T, static traefik.Settings, run func(*testing.T, conformance.Proxy)) {
	immich, url := serveImmich(t)
	addresses := map[string]string{"plain": freeAddress(t), "tls": freeAddress(t), "insecure": freeAddress(t)}
	entryPoints := traefik.Settings{}
	for name, address := range addresses {
		entryPoints[name] = traefik.Settings{"address": address}
	}
	entryPoints["insecure"].(traefik.Settings)["forwardedHeaders"] = traefik.Settings{"insecure": true}
	hosts := map[string]string{}
	dynamic := tableConfiguration(url, hosts)
	static["entryPoints"] = entryPoints
	_, log := start(t, static, dynamic, addresses["plain"], addresses["tls"], addresses["insecure"])
	awaitRoute(t, addresses["plain"], hosts[conformance.OptionSets()[0].String()], http.StatusForbidden)

	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			run(t, conformance.Proxy{
				HidesClaims: name != "insecure",
				CleansPaths: true,
				Open: func(_ *testing.T, options conformance.Options) conformance.Gateway {
					gateway := conformance.Gateway{Addr: address, Host: hosts[options.String()], Immich: immich}
					if name == "tls" {
						gateway.TLS = anyCertificate()
					}
					return gateway
				},
			})
		})
	}
	if strings.Contains(log.String(), conformance.Key) {
		t.Error("the key is in Traefik's log")
	}
}

// tableConfiguration has two routers, with and without TLS, for each set of options, and fills in their hosts.
func tableConfiguration(immich string, hosts map[string]string) traefik.Settings {
	routers, middlewares := traefik.Settings{}, traefik.Settings{}
	for i, options := range conformance.OptionSets() {
		name := "set" + strconv.Itoa(i)
		hosts[options.String()] = name + ".example.com"
		middlewares[name] = traefik.Settings{"plugin": traefik.Settings{pluginName: options}}
		router := traefik.Settings{"rule": fmt.Sprintf("Host(`%s.example.com`)", name), "service": "immich", "middlewares": []string{name}}
		tlsRouter := traefik.Settings{"rule": router["rule"], "service": "immich", "middlewares": []string{name}, "entryPoints": []string{"tls"}, "tls": traefik.Settings{}}
		router["entryPoints"] = []string{"plain", "insecure"}
		routers[name], routers[name+"-tls"] = router, tlsRouter
	}
	return traefik.Settings{"http": traefik.Settings{"routers": routers, "middlewares": middlewares, "services": service(immich)}}
}

func service(immich string) traefik.Settings {
	return traefik.Settings{"immich": traefik.Settings{"loadBalancer": traefik.Settings{"servers": []traefik.Settings{{"url": immich}}}}}
}

// awaitRoute waits until Traefik has read its dynamic configuration and answers for the host.
func awaitRoute(t testing.TB, address, host string, status int) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == status {
			return
		}
	}
	t.Fatalf("there is no route to %s on %s", host, address)
}
