package traefikconfig

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/static"
)

// Routes maps entry points and rules to whether a key is required.
type Routes map[string]bool

// ImmichRoutes are those of the examples.
var ImmichRoutes = Routes{
	"websecure Host(`photos.example.com`)":  false,
	"immich-key Host(`photos.example.com`)": true,
}

// CheckStatic requires the settings that uploads need, and that all references exist.
func CheckStatic(t *testing.T, config *static.Configuration) {
	t.Helper()
	config.SetEffectiveConfiguration()
	if err := config.ValidateConfiguration(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"websecure", "immich-key"} {
		checkEntryPoint(t, name, config.EntryPoints[name])
	}
	if redirections := config.EntryPoints["web"].HTTP.Redirections; redirections != nil && config.EntryPoints[redirections.EntryPoint.To] == nil {
		t.Errorf("web redirects to %q, which is not an entry point", redirections.EntryPoint.To)
	}
	for name, resolver := range config.CertificatesResolvers {
		if over := resolver.ACME.HTTPChallenge.EntryPoint; config.EntryPoints[over] == nil {
			t.Errorf("%s has its challenge on %q, which is not an entry point", name, over)
		}
	}
	checkLogs(t, config)
	CheckPluginSource(t, config.Experimental)
}

func checkEntryPoint(t *testing.T, name string, entryPoint *static.EntryPoint) {
	t.Helper()
	if entryPoint == nil {
		t.Fatalf("there is no entry point %s", name)
	}
	timeouts := entryPoint.Transport.RespondingTimeouts
	if timeouts.ReadTimeout != 0 || timeouts.WriteTimeout != 0 {
		t.Errorf("%s limits the time of transfers: readTimeout %v, writeTimeout %v", name, timeouts.ReadTimeout, timeouts.WriteTimeout)
	}
	if idle := time.Duration(timeouts.IdleTimeout); idle <= 5*time.Minute {
		t.Errorf("%s: idleTimeout is %v, and the Android app keeps connections for 5m", name, idle)
	}
	if entryPoint.HTTP3 == nil {
		t.Errorf("%s has no HTTP/3", name)
	}
}

func checkLogs(t *testing.T, config *static.Configuration) {
	t.Helper()
	if config.Log.Level != "INFO" {
		t.Errorf("log.level is %q", config.Log.Level)
	}
	if config.AccessLog == nil {
		return
	}
	if mode := config.AccessLog.Fields.KeepHeader("X-Access-Key"); mode != "drop" {
		t.Errorf("the access log would %s the key", mode)
	}
	if config.AccessLog.Fields.Keep("RequestPath") {
		t.Error("the access log keeps the query of a request, with Immich's secrets")
	}
}

// CheckPluginSource requires the plugin of a clone, as long as there is no release in the catalog.
func CheckPluginSource(t *testing.T, experimental *static.Experimental) {
	t.Helper()
	plugin := experimental.LocalPlugins[traefik.PluginName]
	if module := "github.com/immichaccess/immichaccess"; plugin.ModuleName != module {
		t.Errorf("the plugin is %q; want %q", plugin.ModuleName, module)
	}
	if len(experimental.Plugins) > 0 {
		t.Errorf("the catalog does not have the plugins %v", experimental.Plugins)
	}
}

// CheckDynamic requires exactly these routes, that all references exist, and that the service's settings are right for Immich.
func CheckDynamic(t *testing.T, config *static.Configuration, dyn *dynamic.Configuration, want Routes) {
	t.Helper()
	got := Routes{}
	for name, router := range dyn.HTTP.Routers {
		checkReferences(t, config, dyn, name)
		checkService(t, config, dyn, router)
		handler := Handler(t, dyn, router)
		without, with := Status(handler, ""), Status(handler, traefik.ExampleKey)
		if with != http.StatusNoContent {
			t.Errorf("%s: status %d with the example's key", name, with)
		}
		got[strings.Join(router.EntryPoints, ",")+" "+router.Rule] = without == http.StatusForbidden
	}
	if !maps.Equal(got, want) {
		t.Errorf("a key is required at\n%v\nwant\n%v", got, want)
	}
}

func checkReferences(t *testing.T, config *static.Configuration, dyn *dynamic.Configuration, name string) {
	t.Helper()
	router := dyn.HTTP.Routers[name]
	for _, entryPoint := range router.EntryPoints {
		if config.EntryPoints[entryPoint] == nil {
			t.Errorf("router %s: there is no entry point %q", name, entryPoint)
		}
	}
	for _, middleware := range router.Middlewares {
		if dyn.HTTP.Middlewares[middleware] == nil {
			t.Errorf("router %s: there is no middleware %q", name, middleware)
		}
	}
	if dyn.HTTP.Services[router.Service] == nil {
		t.Fatalf("router %s: there is no service %q", name, router.Service)
	}
	if router.TLS == nil {
		t.Fatalf("router %s has no TLS", name)
	}
	given := router.TLS.CertResolver == "" && dyn.TLS != nil && len(dyn.TLS.Certificates) > 0
	if _, found := config.CertificatesResolvers[router.TLS.CertResolver]; !found && !given {
		t.Errorf("router %s: there is no certificate, and no certificate resolver %q", name, router.TLS.CertResolver)
	}
}

func checkService(t *testing.T, config *static.Configuration, dyn *dynamic.Configuration, router *dynamic.Router) {
	t.Helper()
	balancer := dyn.HTTP.Services[router.Service].LoadBalancer
	if balancer.PassHostHeader != nil && !*balancer.PassHostHeader {
		t.Error("Immich has to receive the Host of the request")
	}
	for _, server := range balancer.Servers {
		if server.Port != "2283" && !strings.HasSuffix(server.URL, ":2283") {
			t.Errorf("%+v: Immich listens on port 2283", server)
		}
	}
	timeouts := forwardingTimeouts(t, config, dyn, balancer.ServersTransport)
	if idle := time.Duration(timeouts.IdleConnTimeout); idle <= 0 || idle >= 5*time.Second {
		t.Errorf("idle connections to Immich are kept for %v; it closes them after 5s", idle)
	}
	if wait := time.Duration(timeouts.ResponseHeaderTimeout); wait < 10*time.Minute {
		t.Errorf("Immich has %v to answer; its Repair page may take 10m", wait)
	}
}

// forwardingTimeouts are those of the named transport, or of Traefik's default.
func forwardingTimeouts(t *testing.T, config *static.Configuration, dyn *dynamic.Configuration, name string) dynamic.ForwardingTimeouts {
	t.Helper()
	if name == "" {
		byDefault := config.ServersTransport.ForwardingTimeouts
		return dynamic.ForwardingTimeouts{
			IdleConnTimeout:       byDefault.IdleConnTimeout,
			ResponseHeaderTimeout: byDefault.ResponseHeaderTimeout,
		}
	}
	if dyn.HTTP.ServersTransports[name] == nil {
		t.Fatalf("there is no serversTransport %q", name)
	}
	return *dyn.HTTP.ServersTransports[name].ForwardingTimeouts
}
