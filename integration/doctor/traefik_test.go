package doctor_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/doctor"
)

// goodTraefik is the static configuration and the dynamic one, with the plugin.
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

var buildTraefik = sync.OnceValues(func() (string, error) { return traefik.Build(context.Background()) })

func runTraefik(t *testing.T, s *site, config string) {
	t.Helper()
	binary, err := buildTraefik()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(config, "\n---\n")
	settings := make([]traefik.Settings, len(parts))
	for i, part := range parts {
		if err := yaml.Unmarshal([]byte(part), &settings[i]); err != nil {
			t.Fatal(err)
		}
	}
	log := &lockedBuffer{}
	process, err := traefik.Start(context.Background(), binary, s.Dir, settings[0], settings[1], log, s.Addr, s.HTTPAddr)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() {
		process.Stop()
		if t.Failed() {
			t.Logf("Traefik said:\n%s", log)
		}
	})
	awaitRoutes(t, s)
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
		{name: "uploads are cut", options: slow, want: []string{"upload-time"}, edits: []string{"readTimeout: 0", "readTimeout: $CUT"}},
		{name: "no upgrade", edits: with(`{headers: {customRequestHeaders: {Upgrade: "", Connection: ""}}}`), want: []string{"websocket-upgrade"}},
		{name: "key is lost", edits: with(`{headers: {customRequestHeaders: {X-Access-Key: ""}}}`), want: []string{"key-refused"}},
		{
			name: "key is lost on uploads", want: []string{"key-dropped"},
			edits: append(router("Path(`/api/assets`)", "middlewares: [extra, immich-key], service: immich"),
				first, "  middlewares:\n    extra: {headers: {customRequestHeaders: {X-Access-Key: \"\"}}}\n    immich-key:"),
		},
		{name: "well-known led elsewhere", edits: router("PathPrefix(`/.well-known`)", "service: noop@internal"), want: []string{"well-known"}},
		{name: "no ranges", edits: with(`{headers: {customRequestHeaders: {Range: ""}}}`), want: []string{"range-ignored"}},
		{name: "media is compressed", edits: with("{compress: {}}"), want: []string{"media-compressed"}},
		{name: "no HTTP/2", edits: []string{"\ntls:\n", "\ntls:\n  options: {default: {alpnProtocols: [http/1.1]}}\n"}, want: []string{"http2-missing"}},
		{name: "HTTP/3 announced in vain", edits: []string{"http3: {}", "http3: {advertisedPort: 9}"}, want: []string{"http3-unreachable"}},
		{name: "under a path", want: []string{"sub-path"}, options: func(o *doctor.Options) { o.URL += "/immich" }, edits: append(
			router("PathPrefix(`/immich`)", "middlewares: [extra, immich-key], service: immich"),
			first, "  middlewares:\n    extra: {stripPrefix: {prefixes: [/immich]}}\n    immich-key:",
			"rule: Host(`127.0.0.1`)\n", "rule: Host(`127.0.0.1`) && Path(`/nothing`)\n",
		)},
		{name: "Immich is down", edits: []string{"$UPSTREAM", "$DEAD"}, want: []string{"immich-down"}},
		{name: "links are open", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], publicRoutes: [shared-links]"}},
		{name: "browsers may log in", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], browserLogin: true"}},
		{name: "denied with 404", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], denyStatus: 404"}},
		{name: "denied with 401", edits: []string{"keys: [phone:$KEY]", "keys: [phone:$KEY], denyStatus: 401"}},
	})
}
