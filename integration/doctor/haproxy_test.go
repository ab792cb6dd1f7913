package doctor_test

import (
	"path/filepath"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/doctor"
)

const goodHAProxy = `
global
  maxconn 200
  log stderr local0 warning

defaults
  mode http
  log global
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 1h
  timeout http-request 30s

frontend plain
  bind $HTTP
  http-request redirect code 308 location https://127.0.0.1:$PORT%[capture.req.uri]

frontend immich
  bind $ADDR ssl crt $PEM alpn h2,http/1.1
  http-request deny deny_status 403 unless { req.hdr(X-Access-Key) $KEY }
  http-request set-header X-Forwarded-Proto https
  option forwardfor
  default_backend immich

backend immich
  server immich $UPSTREAM source $SOURCE

backend elsewhere
  server other $ELSEWHERE
`

func runHAProxy(t *testing.T, s *site, config string) {
	t.Helper()
	haproxy := harness.Tool(t, "haproxy")
	file := filepath.Join(s.Dir, "haproxy.cfg")
	harness.WriteFile(t, file, config)
	s.runProxy(t, harness.Program{Path: haproxy, Arguments: []string{"-db", "-f", file}})
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	const gate = "  http-request deny deny_status 403 unless"
	runFaults(t, doctor.HAProxy, goodHAProxy, runHAProxy, []fault{
		{name: "limit of 1 MB", want: []string{"upload-limit"}, edits: []string{
			gate, "  http-request deny deny_status 413 if { req.hdr_val(content-length) gt 1048576 }\n" + gate,
		}},
		{name: "limit of 100 MB", want: []string{"upload-limit"}, edits: []string{
			gate, "  http-request deny deny_status 413 if { req.hdr_val(content-length) gt 104857600 }\n" + gate,
		}},
		{name: "uploads are limited in time", options: slow, want: []string{"upload-time"}, edits: []string{
			"  timeout http-request 30s", "  timeout http-request $CUT\n  option http-buffer-request",
		}},
		{name: "no upgrade", want: []string{"websocket-upgrade"}, edits: []string{gate, "  http-request del-header Upgrade\n" + gate}},
		{name: "key is removed on uploads", want: []string{"key-dropped"}, edits: []string{
			gate, "  http-request del-header X-Access-Key if { path /api/assets }\n" + gate,
		}},
		{name: "no client address", edits: []string{"  option forwardfor\n", ""}, want: []string{"client-address"}},
		{name: "no scheme", edits: []string{"  http-request set-header X-Forwarded-Proto https\n", ""}, want: []string{"scheme-lost"}},
		{name: "well-known routed elsewhere", want: []string{"well-known"}, edits: []string{
			"  default_backend", "  use_backend elsewhere if { path_beg /.well-known/ }\n  default_backend",
		}},
		{name: "no ranges", want: []string{"range-ignored"}, edits: []string{gate, "  http-request del-header Range\n" + gate}},
		{name: "media is compressed", want: []string{"media-compressed"}, edits: []string{
			"  server immich", "  compression algo gzip\n  compression type image/png\n  server immich",
		}},
		{name: "no HTTP/2", edits: []string{"alpn h2,http/1.1", "alpn http/1.1"}, want: []string{"http2-missing"}},
		{name: "redirect loses the method", edits: []string{"code 308", "code 302"}, want: []string{"redirect-method"}},
		{name: "a client certificate is needed", edits: []string{"crt $PEM", "crt $PEM ca-file $CERT verify required"}, hidden: true, want: []string{"client-certificate-needed"}},
		{name: "Immich is down", edits: []string{"$UPSTREAM", "$DEAD"}, want: []string{"immich-down"}},
	})
}
