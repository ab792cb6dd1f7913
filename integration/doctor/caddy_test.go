package doctor_test

import (
	"path/filepath"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/doctor"
)

const goodCaddy = `
{
	admin off
	persist_config off
	auto_https disable_redirects
	servers {
		protocols h1 h2 h3
	}
}

http://$HTTP {
	redir https://127.0.0.1:$PORT{uri} 308
}

https://$ADDR {
	tls $CERT $TLSKEY
	@keyless not header X-Access-Key $KEY
	respond @keyless 403
	reverse_proxy $UPSTREAM {
		transport http {
			local_address $SOURCE
		}
	}
}
`

func runCaddy(t *testing.T, s *site, config string) {
	t.Helper()
	file := filepath.Join(s.Dir, "Caddyfile")
	harness.WriteFile(t, file, config)
	s.runProxy(t, harness.Program{
		Path:      harness.BuildCaddy(t),
		Arguments: []string{"run", "--config", file, "--adapter", "caddyfile"},
		Environ:   []string{"HOME=" + s.Dir, "XDG_DATA_HOME=" + s.Dir, "XDG_CONFIG_HOME=" + s.Dir},
	})
}

func TestCaddy(t *testing.T) {
	t.Parallel()
	const gate = "	respond @keyless"
	const upstream = "	reverse_proxy $UPSTREAM {"
	runFaults(t, doctor.Caddy, goodCaddy, runCaddy, []fault{
		{name: "limit of 1 MB", want: []string{"upload-limit"}, edits: []string{gate, "	request_body {\n		max_size 1MB\n	}\n" + gate}},
		{name: "requests are buffered", want: []string{"upload-buffered"}, edits: []string{upstream, upstream + "\n		request_buffers 2MiB"}},
		{name: "uploads are limited in time", options: slow, want: []string{"upload-time"}, edits: []string{
			"protocols h1 h2 h3", "protocols h1 h2 h3\n		timeouts {\n			read_body $CUT\n		}",
		}},
		{name: "no upgrade", want: []string{"websocket-upgrade"}, edits: []string{upstream, upstream + "\n		header_up -Upgrade\n		header_up -Connection"}},
		{name: "key is removed on videos", want: []string{"key-dropped"}, edits: []string{
			"@keyless not header", "@videos path /api/assets/*/video/*\n	respond @videos 403\n	@keyless not header",
		}},
		{name: "no client address", want: []string{"client-address"}, edits: []string{upstream, upstream + "\n		header_up -X-Forwarded-For"}},
		{name: "no scheme", want: []string{"scheme-lost"}, edits: []string{upstream, upstream + "\n		header_up -X-Forwarded-Proto"}},
		{name: "no host", want: []string{"host-lost"}, edits: []string{
			upstream, upstream + "\n		header_up Host immich-server\n		header_up -X-Forwarded-Host",
		}},
		{name: "well-known routed elsewhere", want: []string{"well-known"}, edits: []string{upstream, "	respond /.well-known/* 404\n" + upstream}},
		{name: "no ranges", want: []string{"range-ignored"}, edits: []string{upstream, upstream + "\n		header_up -Range"}},
		{name: "media is compressed", want: []string{"media-compressed"}, edits: []string{
			gate, "	encode gzip {\n		match {\n			header Content-Type image/*\n		}\n	}\n" + gate,
		}},
		{name: "no HTTP/2 and no HTTP/3", edits: []string{"protocols h1 h2 h3", "protocols h1"}, want: []string{"http2-missing"}},
		{name: "HTTP/3 advertised but unreachable", want: []string{"http3-unreachable"}, edits: []string{
			"protocols h1 h2 h3", "protocols h1 h2", gate, "	header Alt-Svc `h3=\":$PORT\"; ma=60`\n" + gate,
		}},
		{name: "redirect loses the method", edits: []string{"{uri} 308", "{uri} 301"}, want: []string{"redirect-method"}},
		{name: "under a path", want: []string{"sub-path"}, edits: []string{upstream, "	handle_path /immich/* {\n	reverse_proxy $UPSTREAM\n	}\n	respond 404\n" + upstream},
			options: func(o *doctor.Options) { o.URL += "/immich" }},
		{name: "Immich is down", edits: []string{upstream, "	reverse_proxy $DEAD {"}, want: []string{"immich-down"}},
	})
}
