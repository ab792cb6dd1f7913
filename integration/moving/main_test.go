// Package moving_test runs the reverse proxies of docs/moving.md, and immichaccess with the configuration that replaces each, in front of
// the same upstream. Both get the same requests. The table in differences_test.go has every difference in what clients and the upstream
// then see.
package moving_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"go.yaml.in/yaml/v3"
)

const (
	key         = "example-phone-key-change-me" // the one in the examples, which is also the password of the user family
	limit       = 1 << 20                       // of request bodies, in place of Immich's 50000M
	homeNetwork = "127.0.0.64/26"               // in place of 192.168.1.0/24
	atHome      = "127.0.0.77"                  // in it
)

// pair is a reverse proxy, and immichaccess with what replaces its configuration.
type pair struct {
	name        string
	right       string // a header line that lets a client in; empty where nothing is asked for
	wrong       string
	buffers     bool // the proxy has the whole upload before it forwards the request
	before, now func(t *testing.T, upstream string) site
}

// site is a running proxy.
type site struct {
	https string // address
	http  string // address; empty if there is none
}

var pairs = []pair{
	{name: "nginx", buffers: true, before: nginx, now: standalone("nginx", keyless)},
	{name: "nginx with a key", right: header(key), wrong: header("wrong"), buffers: true, before: nginxWithKey, now: standalone("nginx", withKey)},
	{name: "Caddy", right: header(key), wrong: header("wrong"), before: caddy, now: standalone("caddy", withDomain)},
	{
		name: "Nginx Proxy Manager", right: basic("family", key), wrong: basic("family", "wrong"), buffers: true,
		before: nginxProxyManager, now: standalone("nginx-proxy-manager", withDomain, "--access.keylessNetworks="+homeNetwork),
	},
	{
		name: "Traefik's basicAuth", right: basic("family", key), wrong: basic("family", "wrong"),
		before: traefikBefore("traefik-basic-auth"), now: traefikNow("traefik-basic-auth"),
	},
	{
		name: "Traefik's forwardAuth", right: header(key), wrong: header("wrong"),
		before: traefikBefore("traefik-forward-auth"), now: traefikNow("traefik-forward-auth"),
	},
}

func header(key string) string { return "X-Access-Key: " + key }

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// The proxies that users have.

func nginx(t *testing.T, upstream string) site {
	return startNginx(t, "nginx/before/immich.conf", "443 ssl", upstream)
}

func nginxWithKey(t *testing.T, upstream string) site {
	return startNginx(t, "nginx/before/immich-key.conf", "4000 ssl", upstream)
}

func startNginx(t *testing.T, file, port, upstream string) site {
	t.Helper()
	s := site{https: harness.FreeAddress(t)}
	cert, key := certificate(t)
	harness.StartNginx(t, harness.Example(t, "moving/"+file,
		"listen "+port, "listen "+s.https+" ssl",
		"/etc/letsencrypt/live/photos.example.com/fullchain.pem", cert,
		"/etc/letsencrypt/live/photos.example.com/privkey.pem", key,
		"50000M", "1M",
		"127.0.0.1:2283", upstream), s.https)
	return s
}

func nginxProxyManager(t *testing.T, upstream string) site {
	s := site{https: harness.FreeAddress(t), http: harness.FreeAddress(t)}
	cert, key := certificate(t)
	users := filepath.Join(t.TempDir(), "access")
	harness.WriteFile(t, users, harness.Example(t, "moving/nginx-proxy-manager/before/access"))
	harness.StartNginx(t, harness.Example(t, "moving/nginx-proxy-manager/before/proxy_host.conf",
		"2283", port(t, upstream), "80", s.http, "443 ssl", s.https+" ssl",
		"/etc/letsencrypt/live/npm-1/fullchain.pem", cert, "/etc/letsencrypt/live/npm-1/privkey.pem", key,
		"50000M", "1M", "/data/access/1", users, "192.168.1.0/24", homeNetwork), s.https, s.http)
	return s
}

func caddy(t *testing.T, upstream string) site {
	s := site{https: harness.FreeAddress(t), http: harness.FreeAddress(t)}
	cert, key := certificate(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "Caddyfile")
	global := "{\n\tadmin off\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n\thttp_port " + port(t, s.http) + "\n\thttps_port " + port(t, s.https) + "\n}\n"
	harness.WriteFile(t, file, global+harness.Example(t, "moving/caddy/before/Caddyfile",
		"photos.example.com {", "photos.example.com {\n\ttls "+cert+" "+key, "50GB", "1MiB", "127.0.0.1:2283", upstream))
	harness.Program{
		Path:      harness.BuildCaddy(t),
		Arguments: []string{"run", "--config", file, "--adapter", "caddyfile"},
		Environ:   []string{"HOME=" + folder, "XDG_DATA_HOME=" + folder, "XDG_CONFIG_HOME=" + folder},
	}.Start(t).AwaitListening(t, s.https, s.http)
	return s
}

func traefikBefore(folder string) func(*testing.T, string) site {
	return func(t *testing.T, upstream string) site {
		dynamic := dynamicFile(t, folder+"/before", upstream)
		if middleware, found := dynamic.At("http").At("middlewares")["immich-auth"].(traefik.Settings); found {
			middleware.At("forwardAuth")["address"] = serveAuth(t)
		}
		return startTraefik(t, dynamic)
	}
}

// The configurations that replace them.

func traefikNow(folder string) func(*testing.T, string) site {
	return func(t *testing.T, upstream string) site {
		dynamic := dynamicFile(t, folder+"/after", upstream)
		dynamic.At("http").At("middlewares").At("immich-key").At("plugin").At(traefik.PluginName)["maxUploadSize"] = "1m"
		return startTraefik(t, dynamic)
	}
}

func dynamicFile(t *testing.T, folder, upstream string) traefik.Settings {
	t.Helper()
	var settings traefik.Settings
	text := harness.Example(t, "moving/"+folder+"/dynamic.yml", "127.0.0.1:2283", upstream)
	if err := yaml.Unmarshal([]byte(text), &settings); err != nil {
		t.Fatal(err)
	}
	return settings
}

// startTraefik has the static configuration of README.md.
func startTraefik(t *testing.T, dynamic traefik.Settings) site {
	t.Helper()
	s := site{https: harness.FreeAddress(t)}
	traefik.Run(t, traefik.Settings{
		"entryPoints": traefik.Settings{"websecure": traefik.Settings{
			"address":   s.https,
			"transport": traefik.Settings{"respondingTimeouts": traefik.Settings{"readTimeout": 0, "idleTimeout": "600s"}},
		}},
		"serversTransport": traefik.Settings{"forwardingTimeouts": traefik.Settings{"idleConnTimeout": "4s"}},
	}, dynamic, s.https)
	harness.Await(t, "Traefik's route", func() bool {
		status := s.send(t, request{method: "GET", path: "/", host: harness.Domain, id: "start"})["status"]
		return status != "none" && status != "404"
	})
	return s
}

// standalone runs the proxy with a folder's file. Options take the place of what can't be had in a test.
func standalone(folder string, listen func(*testing.T) (site, []string), options ...string) func(*testing.T, string) site {
	return func(t *testing.T, upstream string) site {
		t.Helper()
		s, addresses := listen(t)
		arguments := append([]string{
			"--configFile=" + filepath.Join(harness.RepositoryDir(), "examples", "moving", folder, "after", "immichaccess.yml"),
			"--upstreams=http://" + upstream, "--access.maxUploadSize=1m", "--acme.storage=" + t.TempDir(),
		}, addresses...)
		process := harness.Start(t, harness.Binary(t), append(arguments, options...)...)
		process.AwaitListening(t, s.https)
		harness.Await(t, "a certificate", func() bool { return harness.Certificate(s.https, harness.Domain) != nil })
		return s
	}
}

func keyless(t *testing.T) (site, []string) {
	s := site{https: harness.FreeAddress(t)}
	return s, append(ownCertificate(t), "--listen.keyless="+s.https, "--listen.https="+harness.FreeAddress(t))
}

func withKey(t *testing.T) (site, []string) {
	s := site{https: harness.FreeAddress(t)}
	return s, append(ownCertificate(t), "--listen.https="+s.https, "--listen.keyless="+harness.FreeAddress(t))
}

// withDomain has a certificate from a test CA.
func withDomain(t *testing.T) (site, []string) {
	ca := harness.StartPebble(t, harness.PebbleOptions{GoodNonces: true})
	return site{https: ca.HTTPS, http: ca.HTTP}, []string{
		"--acme.server=" + ca.Directory, "--acme.trustedRoots=" + ca.Roots, "--listen.https=" + ca.HTTPS, "--listen.http=" + ca.HTTP,
	}
}

func ownCertificate(t *testing.T) []string {
	cert, key := certificate(t)
	return []string{"--tls.certFile=" + cert, "--tls.keyFile=" + key}
}

func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	harness.WriteCertificate(t, certFile, keyFile, harness.Domain)
	return certFile, keyFile
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, found := strings.Cut(address, ":")
	if !found {
		t.Fatalf("%s has no port", address)
	}
	return port
}
