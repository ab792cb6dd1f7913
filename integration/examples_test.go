package integration

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/immichaccess/immichaccess"
	"github.com/mitchellh/mapstructure"
	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/static"
	fileprovider "github.com/traefik/traefik/v3/pkg/provider/file"
	"go.yaml.in/yaml/v3"
)

// The files in examples/traefik are loaded by Traefik's own code, more strictly than Traefik does: what it would drop in
// silence is an error here. Their middlewares then have to let in, and keep out, who they promise to.

const (
	examplesDir = "../examples/traefik"
	pluginName  = "immichaccess"
	// exampleKey opens each door of the examples that asks for a key, and their comments say so.
	exampleKey = "example-phone-key-change-me"
)

// doors tells, by entry point and rule, whether a key is asked for.
type doors map[string]bool

var immichsDoors = doors{
	"websecure Host(`photos.example.com`)":  false,
	"immich-key Host(`photos.example.com`)": true,
}

func TestExampleFiles(t *testing.T) {
	t.Parallel()
	want := maps.Clone(immichsDoors)
	want["websecure Host(`family.example.com`)"] = true
	dyn := loadDynamicFile(t)
	checkStatic(t, loadStaticFile(t))
	checkDynamic(t, loadStaticFile(t), dyn, want)
}

func TestExampleShowsEveryOption(t *testing.T) {
	t.Parallel()
	options := loadDynamicFile(t).HTTP.Middlewares["immich-every-option"].Plugin[pluginName]
	if all := reflect.TypeFor[immichaccess.Config]().NumField(); len(options) != all {
		t.Errorf("immich-every-option shows %d options of %d", len(options), all)
	}
}

func TestExampleFileWithLocalPlugin(t *testing.T) {
	t.Parallel()
	text := readExample(t, "traefik.yml")
	catalog, local, found := strings.Cut(text, "  # localPlugins:\n")
	if !found {
		t.Fatal("traefik.yml shows no localPlugins")
	}
	local = "  localPlugins:\n" + strings.ReplaceAll(local, "  # ", "  ")
	config := new(static.Configuration)
	if err := file.DecodeContent(catalog+local, ".yml", config); err != nil {
		t.Fatal(err)
	}
	want := config.Experimental.Plugins[pluginName].ModuleName
	if got := config.Experimental.LocalPlugins[pluginName].ModuleName; got != want {
		t.Errorf("the local plugin is %q, the catalog's %q", got, want)
	}
}

func TestExamplesAgreeOnTheVersion(t *testing.T) {
	t.Parallel()
	files := loadStaticFile(t).Experimental.Plugins[pluginName]
	compose := decodeFlags(t, loadCompose(t).Services["traefik"].Command).Experimental.Plugins[pluginName]
	if !reflect.DeepEqual(files, compose) {
		t.Errorf("traefik.yml has %+v, docker-compose.yml %+v", files, compose)
	}
}

func TestExamplesReadme(t *testing.T) {
	t.Parallel()
	readme := readExample(t, "README.md")
	for _, name := range regexp.MustCompile("`([a-z-]+\\.[a-z]+)`").FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join(examplesDir, name[1])); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(examplesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "README.md" && !strings.Contains(readme, "| `"+name+"` |") {
			t.Errorf("README.md does not say what %s is for", name)
		}
	}
	for _, change := range []string{exampleKey, "photos.example.com", "family.example.com", "you@example.com", "http://immich-server:2283"} {
		if !strings.Contains(readme, change) {
			t.Errorf("README.md does not say that %s is to be changed", change)
		}
	}
}

// The static configuration: what uploads need.

func checkStatic(t *testing.T, config *static.Configuration) {
	t.Helper()
	config.SetEffectiveConfiguration()
	if err := config.ValidateConfiguration(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"websecure", "immich-key"} {
		checkEntryPoint(t, name, config.EntryPoints[name])
	}
	if to := config.EntryPoints["web"].HTTP.Redirections.EntryPoint.To; config.EntryPoints[to] == nil {
		t.Errorf("web redirects to %q, which is no entry point", to)
	}
	for name, resolver := range config.CertificatesResolvers {
		if over := resolver.ACME.HTTPChallenge.EntryPoint; config.EntryPoints[over] == nil {
			t.Errorf("%s wants its challenge on %q, which is no entry point", name, over)
		}
	}
	checkLogs(t, config)
	checkPluginSource(t, config.Experimental)
}

func checkEntryPoint(t *testing.T, name string, entryPoint *static.EntryPoint) {
	t.Helper()
	if entryPoint == nil {
		t.Fatalf("there is no entry point %s", name)
	}
	timeouts := entryPoint.Transport.RespondingTimeouts
	if timeouts.ReadTimeout != 0 || timeouts.WriteTimeout != 0 {
		t.Errorf("%s cuts transfers: readTimeout %v, writeTimeout %v", name, timeouts.ReadTimeout, timeouts.WriteTimeout)
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
		t.Errorf("the access log is to %s the key", mode)
	}
	if config.AccessLog.Fields.Keep("RequestPath") {
		t.Error("the access log keeps the query of a request, with Immich's secrets")
	}
}

func checkPluginSource(t *testing.T, experimental *static.Experimental) {
	t.Helper()
	plugin := experimental.Plugins[pluginName]
	if module := "github.com/immichaccess/immichaccess"; plugin.ModuleName != module {
		t.Errorf("the plugin is %q; want %q", plugin.ModuleName, module)
	}
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(plugin.Version) {
		t.Errorf("the plugin's version is %q", plugin.Version)
	}
}

// The dynamic configuration: references, the way to Immich, and the doors.

func checkDynamic(t *testing.T, config *static.Configuration, dyn *dynamic.Configuration, want doors) {
	t.Helper()
	got := doors{}
	for name, router := range dyn.HTTP.Routers {
		checkReferences(t, config, dyn, name)
		checkWayToImmich(t, config, dyn, router)
		handler := guarded(t, dyn, router)
		without, with := statusFor(handler, ""), statusFor(handler, exampleKey)
		if with != http.StatusNoContent {
			t.Errorf("%s: status %d with the example's key", name, with)
		}
		got[strings.Join(router.EntryPoints, ",")+" "+router.Rule] = without == http.StatusForbidden
	}
	if !maps.Equal(got, want) {
		t.Errorf("a key is asked for at\n%v\nwant\n%v", got, want)
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
	if _, found := config.CertificatesResolvers[router.TLS.CertResolver]; !found {
		t.Errorf("router %s: there is no certificate resolver %q", name, router.TLS.CertResolver)
	}
}

func checkWayToImmich(t *testing.T, config *static.Configuration, dyn *dynamic.Configuration, router *dynamic.Router) {
	t.Helper()
	balancer := dyn.HTTP.Services[router.Service].LoadBalancer
	if balancer.PassHostHeader != nil && !*balancer.PassHostHeader {
		t.Error("Immich has to be told the Host of the request")
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

// guarded is a handler behind the middlewares of a router, as Traefik would build it.
func guarded(t *testing.T, dyn *dynamic.Configuration, router *dynamic.Router) http.Handler {
	t.Helper()
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, name := range slices.Backward(router.Middlewares) {
		config := pluginConfig(t, dyn.HTTP.Middlewares[name].Plugin[pluginName])
		var err error
		if handler, err = immichaccess.New(t.Context(), handler, config, name); err != nil {
			t.Fatal(err)
		}
	}
	return handler
}

// pluginConfig decodes the options as Traefik does (pkg/plugins/middlewareyaegi.go), except that it knows all of them.
func pluginConfig(t *testing.T, options dynamic.PluginConf) *immichaccess.Config {
	t.Helper()
	config := immichaccess.CreateConfig()
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook:       mapstructure.StringToSliceHookFunc(","),
		WeaklyTypedInput: true,
		ErrorUnused:      true,
		Result:           config,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(map[string]any(options)); err != nil {
		t.Fatal(err)
	}
	if config.KeysFile != "" {
		config.KeysFile = usersFile(t, "# comment\ntablet:a-key-in-the-file-of-a-user\n")
	}
	if config.SessionSecretFile != "" {
		config.SessionSecretFile = usersFile(t, strings.Repeat("0123456789abcdef", 4)+"\n")
	}
	return config
}

// usersFile stands in for a path on the machine of the user.
func usersFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func statusFor(handler http.Handler, key string) int {
	request := httptest.NewRequest(http.MethodGet, "/api/server/ping", nil)
	if key != "" {
		request.Header.Set("X-Access-Key", key)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examplesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func loadStaticFile(t *testing.T) *static.Configuration {
	t.Helper()
	config := new(static.Configuration)
	checkTopLevel(t, "traefik.yml", config)
	decodeStatic(t, filepath.Join(examplesDir, "traefik.yml"), config)
	return config
}

func decodeStatic(t *testing.T, path string, config *static.Configuration) {
	t.Helper()
	if err := file.Decode(path, config); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func loadDynamicFile(t *testing.T) *dynamic.Configuration {
	t.Helper()
	checkTopLevel(t, "dynamic.yml", new(dynamic.Configuration))
	return decodeDynamic(t, filepath.Join(examplesDir, "dynamic.yml"))
}

func decodeDynamic(t *testing.T, path string) *dynamic.Configuration {
	t.Helper()
	config, err := new(fileprovider.Provider).CreateConfiguration(t.Context(), path, template.FuncMap{}, false)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return config
}

// checkTopLevel does what Traefik's decoder does on every level but the first.
func checkTopLevel(t *testing.T, name string, config any) {
	t.Helper()
	var sections map[string]any
	if err := yaml.Unmarshal([]byte(readExample(t, name)), &sections); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for section := range sections {
		known := func(field string) bool { return strings.EqualFold(field, section) }
		if _, found := reflect.TypeOf(config).Elem().FieldByNameFunc(known); !found {
			t.Errorf("%s: Traefik does not know %q", name, section)
		}
	}
}
