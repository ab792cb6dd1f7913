package clientcerts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/conformance"
	"go.yaml.in/yaml/v3"
)

// The example for Traefik, with the plugin's options and the CA of the conformance table, in the real Traefik.
func TestTraefik(t *testing.T) {
	t.Parallel()
	clients := conformance.NewClients(t)
	s := newSite(t)
	s.serveTraefik(t, clients.CAFile, func(options traefik.Settings) {
		for name, value := range clients.Options {
			options[name] = value
		}
	})
	clients.Run(t, conformance.CertificateProxy{
		Gateway: conformance.Gateway{Addr: s.addr, Host: siteHost, TLS: s.trusting(t), HTTP3: true, Immich: s.immich},
		Refused: []string{"foreign", "expired"}, // by VerifyClientCertIfGiven
	})
	if log := s.log.String(); strings.Contains(log, conformance.Key) || !strings.Contains(log, "revoked certificate") {
		t.Error("the log has the key, or does not report a revoked certificate")
	}
}

// The example unchanged, except for paths and ports, with certificates of immichaccess cert.
func TestTraefikExample(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	phone, lost := s.issue(t, "phone"), s.issue(t, "lost-phone")
	s.serveTraefik(t, phone.ca, func(traefik.Settings) {})
	for name, c := range map[string]struct {
		arguments []string
		status    string
	}{
		"nothing":             {nil, "403"},
		"key":                 {[]string{"--header", "X-Access-Key: " + accessKey}, "200"},
		"certificate":         {[]string{"--cert", phone.pem}, "200"},
		"revoked certificate": {[]string{"--cert", lost.pem}, "403"},
		"PKCS#12":             {[]string{"--cert-type", "P12", "--cert", phone.p12 + ":" + phone.password}, "200"},
	} {
		output, err := s.curl(t, append(c.arguments, statusOf("https://%s/api/server/ping", siteHost)...)...)
		if err != nil || output != c.status+" 2" {
			t.Errorf("%s: %s, %v", name, output, err)
		}
	}
}

// serveTraefik runs Traefik with examples/traefik/client-certificates.yml.
func (s *site) serveTraefik(t *testing.T, caFile string, change func(options traefik.Settings)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(traefik.ExampleDir(), "client-certificates.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dynamic := traefik.Settings{}
	if err := yaml.Unmarshal(text, &dynamic); err != nil {
		t.Fatal(err)
	}
	http := at(dynamic, "http")
	delete(at(http, "routers", "immich-certificate", "tls"), "certResolver")
	at(http, "services", "immich", "loadBalancer")["servers"] = []traefik.Settings{{"url": s.url}}
	change(at(http, "middlewares", "immich-certificate", "plugin", "immichaccess"))
	at(dynamic, "tls", "options", "immich-clients", "clientAuth")["caFiles"] = []string{caFile}
	dynamic["tls"].(traefik.Settings)["stores"] = traefik.Settings{"default": traefik.Settings{
		"defaultCertificate": traefik.Settings{"certFile": s.cert, "keyFile": s.key},
	}}
	static := traefik.Settings{"entryPoints": traefik.Settings{"immich-key": traefik.Settings{"address": s.addr, "http3": traefik.Settings{}}}}

	s.log = &harness.Log{}
	process, err := traefik.Start(t.Context(), traefik.MustBuild(t), s.dir, static, dynamic, s.log, s.addr)
	if err != nil {
		t.Fatalf("%v: %s", err, s.log)
	}
	t.Cleanup(process.Stop)
	s.awaitRoute(t)
}

// awaitRoute waits until Traefik has read its dynamic configuration.
func (s *site) awaitRoute(t *testing.T) {
	t.Helper()
	harness.Await(t, "the route to Immich", func() bool {
		output, err := s.curl(t, statusOf("https://%s/api/server/ping", siteHost)...)
		return err == nil && strings.HasPrefix(output, "403")
	})
}

// at returns a part of a file that is known to have it.
func at(settings traefik.Settings, names ...string) traefik.Settings {
	for _, name := range names {
		settings = settings[name].(traefik.Settings)
	}
	return settings
}
