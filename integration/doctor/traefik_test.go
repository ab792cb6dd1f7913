package doctor_test

import (
	"io"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/doctor"
	"go.yaml.in/yaml/v3"
)

// goodTraefik is the static and the dynamic configuration, with the plugin.
const goodTraefik = `
entryPoints:
  web:
    address: $HTTP
    http: {redirections: {entryPoint: {to: websecure, scheme: https}}}
  websecure:
    address: $ADDR
    http3: {}
    transport: {respondingTimeouts: {readTimeout: 0, writeTimeout: 0, idleTimeout: 600s}}
log: {level: ERROR}
---
http:
  routers:
    immich:
      rule: Host(` + "`127.0.0.1`" + `)
      entryPoints: [websecure]
      middlewares: [immich-key]
      service: immich
      tls: {}
  middlewares:
    immich-key:
      plugin: {immichaccess: {keys: [phone:$KEY]}}
  services:
    immich: {loadBalancer: {serversTransport: immich, servers: [{url: "http://$UPSTREAM"}]}}
  serversTransports:
    immich: {forwardingTimeouts: {idleConnTimeout: 4s}}
tls:
  stores: {default: {defaultCertificate: {certFile: $CERT, keyFile: $TLSKEY}}}
`

func runTraefik(t *testing.T, s *site, config string) {
	t.Helper()
	parts := strings.Split(config, "\n---\n")
	settings := make([]traefik.Settings, len(parts))
	for i, part := range parts {
		if err := yaml.Unmarshal([]byte(part), &settings[i]); err != nil {
			t.Fatal(err)
		}
	}
	traefik.Run(t, settings[0], settings[1], s.Addr, s.HTTPAddr)
	awaitRoutes(t, s)
}

// awaitRoutes returns when Traefik has routes: it listens before it has read them.
func awaitRoutes(t *testing.T, s *site) {
	t.Helper()
	client := harness.Client(t, harness.HTTP1)
	harness.Await(t, "Traefik's routes", func() bool {
		response, err := client.Get("https://" + s.Addr + "/nothing")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && string(body) != "404 page not found\n"
	})
}

func TestTraefik(t *testing.T) {
	t.Parallel()
	const (
		use         = "middlewares: [immich-key]"
		first       = "  middlewares:\n    immich-key:"
		firstRouter = "  routers:\n    immich:"
	)
	// with puts a middleware in front of the plugin.
	with := func(middleware string) []string {
		return []string{use, "middlewares: [extra, immich-key]", first, "  middlewares:\n    extra: " + middleware + "\n    immich-key:"}
	}
	router := func(rule, rest string) []string {
		return []string{firstRouter, "  routers:\n    extra: {rule: \"Host(`127.0.0.1`) && " + rule + "\", entryPoints: [websecure], tls: {}, " + rest + "}\n    immich:"}
	}
	runFaults(t, doctor.Traefik, goodTraefik, runTraefik, []fault{
		{name: "limit of 1 MB", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], maxUploadSize: 1m"}, want: []string{"upload-limit"}},
		{name: "limit of 100 MB", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], maxUploadSize: 100m"}, want: []string{"upload-limit"}},
		{name: "limit of the buffering middleware", edits: with("{buffering: {maxRequestBodyBytes: 104857600}}"), want: []string{"upload-buffered", "upload-limit"}},
		{name: "requests are buffered", edits: with("{buffering: {memRequestBodyBytes: 1024}}"), want: []string{"upload-buffered"}},
		{name: "uploads are limited in time", options: slow, want: []string{"upload-time"}, edits: []string{"readTimeout: 0", "readTimeout: $CUT"}},
		{name: "no upgrade", edits: with(`{headers: {customRequestHeaders: {Upgrade: "", Connection: ""}}}`), want: []string{"websocket-upgrade"}},
		{name: "key is removed", edits: with(`{headers: {customRequestHeaders: {X-Access-Key: ""}}}`), want: []string{"key-refused"}},
		{
			name: "key is removed on uploads", want: []string{"key-dropped"},
			edits: append(router("Path(`/api/assets`)", "middlewares: [extra, immich-key], service: immich"),
				first, "  middlewares:\n    extra: {headers: {customRequestHeaders: {X-Access-Key: \"\"}}}\n    immich-key:"),
		},
		{name: "well-known routed elsewhere", edits: router("PathPrefix(`/.well-known`)", "service: noop@internal"), want: []string{"well-known"}},
		{name: "no ranges", edits: with(`{headers: {customRequestHeaders: {Range: ""}}}`), want: []string{"range-ignored"}},
		{name: "media is compressed", edits: with("{compress: {}}"), want: []string{"media-compressed"}},
		{name: "no HTTP/2", edits: []string{"\ntls:\n", "\ntls:\n  options: {default: {alpnProtocols: [http/1.1]}}\n"}, want: []string{"http2-missing"}},
		{name: "HTTP/3 advertised but unreachable", edits: []string{"http3: {}", "http3: {advertisedPort: 9}"}, want: []string{"http3-unreachable"}},
		{name: "under a path", want: []string{"sub-path"}, options: func(o *doctor.Options) { o.URL += "/immich" }, edits: append(
			router("PathPrefix(`/immich`)", "middlewares: [extra, immich-key], service: immich"),
			first, "  middlewares:\n    extra: {stripPrefix: {prefixes: [/immich]}}\n    immich-key:",
			"rule: Host(`127.0.0.1`)\n", "rule: Host(`127.0.0.1`) && Path(`/nothing`)\n",
		)},
		{name: "Immich is down", edits: []string{"$UPSTREAM", "$DEAD"}, want: []string{"immich-down"}},
		{name: "links are public", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], publicRoutes: [shared-links]"}},
		{name: "browsers may log in", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], browserLogin: true"}},
		{name: "denied with 404", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], denyStatus: 404"}},
		{name: "denied with 401", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], denyStatus: 401"}},
	})
}
