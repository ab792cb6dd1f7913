package doctor_test

import (
	"path/filepath"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/doctor"
)

const goodNginx = `
user root;
daemon off;
worker_processes 1;
pid $DIR/nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path $DIR/body;
  proxy_temp_path $DIR/proxy;
  fastcgi_temp_path $DIR/fastcgi;
  uwsgi_temp_path $DIR/uwsgi;
  scgi_temp_path $DIR/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }

  server {
    listen $HTTP;
    return 308 https://127.0.0.1:$PORT$request_uri;
  }

  server {
    listen $ADDR ssl http2;
    ssl_certificate $CERT;
    ssl_certificate_key $TLSKEY;

    if ($http_x_access_key != "$KEY") { return 403; }

    client_max_body_size 50000M;
    proxy_request_buffering off;
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_redirect off;
    proxy_read_timeout 600s;
    proxy_send_timeout 600s;
    send_timeout 600s;
    proxy_bind $SOURCE;

    location / { proxy_pass http://$UPSTREAM; }
  }
}
`

func runNginx(t *testing.T, s *site, config string) {
	t.Helper()
	nginx := harness.Tool(t, "nginx")
	file := filepath.Join(s.Dir, "nginx.conf")
	harness.WriteFile(t, file, config)
	s.runProxy(t, harness.Program{Path: nginx, Arguments: []string{"-c", file, "-p", s.Dir, "-e", "stderr"}})
}

func TestNginx(t *testing.T) {
	t.Parallel()
	location := "location / {"
	runFaults(t, doctor.Nginx, goodNginx, runNginx, []fault{
		{name: "limit of 1 MB", edits: []string{"client_max_body_size 50000M;", ""}, want: []string{"upload-limit"}},
		{name: "limit of 100 MB", edits: []string{"client_max_body_size 50000M;", "client_max_body_size 100m;"}, want: []string{"upload-limit"}},
		{name: "limit of 5 GB", edits: []string{"client_max_body_size 50000M;", "client_max_body_size 5g;"}, want: []string{"upload-limit"}},
		{name: "requests are buffered", edits: []string{"proxy_request_buffering off;", ""}, want: []string{"upload-buffered"}},
		{name: "closes the connection after an early answer", edits: []string{"proxy_bind", "lingering_close off; proxy_bind"}, note: "early-answer-cut"},
		{name: "no upgrade", edits: []string{"proxy_set_header Upgrade $http_upgrade;", ""}, want: []string{"websocket-upgrade"}},
		{name: "HTTP/1.0 to Immich", edits: []string{"proxy_http_version 1.1;", "proxy_http_version 1.0;"}, want: []string{"websocket-upgrade"}},
		{
			name: "key is removed on videos", want: []string{"key-dropped"},
			edits: []string{location, `location ~ ^/api/assets/[^/]+/video/ { return 403; } ` + location},
		},
		{
			name: "key is removed on the WebSocket", want: []string{"websocket-key"},
			edits: []string{location, `location /api/socket.io { return 403; } ` + location},
		},
		{name: "WebSocket routed elsewhere", want: []string{"websocket-refused"}, edits: []string{location, `location /api/socket.io { return 404; } ` + location}},
		{
			name: "deletions are blocked", want: []string{"request-blocked"},
			edits: []string{location, `location = /api/assets { if ($request_method = DELETE) { return 405; } proxy_pass http://$UPSTREAM; } ` + location},
		},
		{name: "no client address", edits: []string{"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", ""}, want: []string{"client-address"}},
		{name: "no scheme", edits: []string{"proxy_set_header X-Forwarded-Proto $scheme;", ""}, want: []string{"scheme-lost"}},
		{name: "no host", edits: []string{"proxy_set_header Host $http_host;", "proxy_set_header Host immich-server;"}, want: []string{"host-lost"}},
		{
			name: "well-known routed elsewhere", want: []string{"well-known"},
			edits: []string{location, "location /.well-known/ { root /nonexistent; } " + location},
		},
		{name: "no ranges", edits: []string{"proxy_bind", `proxy_set_header Range ""; proxy_bind`}, want: []string{"range-ignored"}},
		{
			name: "media is compressed", want: []string{"media-compressed"},
			edits: []string{"proxy_bind", `gzip on; gzip_proxied any; gzip_types *; proxy_bind`},
		},
		{name: "no HTTP/2", edits: []string{"ssl http2;", "ssl;"}, want: []string{"http2-missing"}},
		{
			name: "HTTP/3 advertised but unreachable", want: []string{"http3-unreachable"},
			edits: []string{"proxy_bind", `add_header Alt-Svc 'h3=":$PORT"; ma=60' always; proxy_bind`},
		},
		{name: "redirect loses the method", edits: []string{"return 308", "return 301"}, want: []string{"redirect-method"}},
		{name: "redirect to the start page", edits: []string{"$PORT$request_uri", "$PORT/"}, want: []string{"redirect-elsewhere"}},
		{name: "plain HTTP is served", want: []string{"http-not-redirected"}, edits: []string{
			"return 308 https://127.0.0.1:$PORT$request_uri;", "location / { proxy_pass http://$UPSTREAM; }",
		}},
		{name: "Immich is down", edits: []string{"proxy_pass http://$UPSTREAM", "proxy_pass http://$DEAD"}, want: []string{"immich-down"}},
		{name: "something else", edits: []string{"proxy_pass http://$UPSTREAM", "proxy_pass http://$ELSEWHERE"}, want: []string{"not-immich"}},
		{
			name: "under a path", want: []string{"sub-path"},
			edits:   []string{"location / { proxy_pass http://$UPSTREAM; }", "location /immich/ { proxy_pass http://$UPSTREAM/; }"},
			options: func(o *doctor.Options) { o.URL += "/immich" },
		},
		{
			name: "API is redirected", want: []string{"redirected"},
			edits: []string{location, "location /api { return 301 https://www.example.com$request_uri; } " + location},
		},
		{
			name: "login page in front", want: []string{"login-page"},
			edits: []string{location, "location /api { return 302 https://auth.example.com/?rd=https://photos.example.com; } " + location},
		},
		{
			name: "private clients need no key", want: []string{"key-bypassed"},
			edits: []string{
				`if ($http_x_access_key != "$KEY") { return 403; }`,
				`set_real_ip_from 0.0.0.0/0; real_ip_header X-Forwarded-For; if ($shut) { return 403; }`,
				"server {", `geo $home { default 0; 192.168.0.0/16 1; } map "$home$http_x_access_key" $shut { default 1; "0$KEY" 0; ~^1 0; } server {`,
			},
		},
		{
			name: "any key will do", want: []string{"wrong-key-accepted"},
			edits: []string{`$http_x_access_key != "$KEY"`, `$http_x_access_key = ""`},
		},
		{
			name: "the header has another name", want: []string{"key-refused"},
			options: func(o *doctor.Options) { o.KeyHeader = "X-Other-Key" },
		},
		{name: "the header is dropped", edits: []string{"$http_x_access_key", "$http_x_access_key_"}, want: []string{"key-refused"}},
		{
			name: "a client certificate is needed", want: []string{"client-certificate-needed"},
			edits: []string{"proxy_bind", "ssl_verify_client on; ssl_client_certificate $CERT; proxy_bind"},
		},
		{name: "the key is not given", options: func(o *doctor.Options) { o.Key = "" }, want: []string{"key-needed"}},
		{name: "no key, though there is one", edits: []string{`if ($http_x_access_key != "$KEY") { return 403; }`, ""}, want: []string{"no-key"}},
		{
			name: "open on purpose", edits: []string{`if ($http_x_access_key != "$KEY") { return 403; }`, ""},
			options: func(o *doctor.Options) { o.Key = "" }, note: "no-key",
		},
		{name: "too many wrong keys", edits: []string{"return 403;", "return 429;"}, options: func(o *doctor.Options) { o.Key = "another" }, want: []string{"locked-out"}},
		{
			name: "links partly public", want: []string{"links-half-open"},
			edits: []string{
				`if ($http_x_access_key != "$KEY") { return 403; }`, "",
				location, `location /share/ { proxy_pass http://$UPSTREAM; } location / { if ($http_x_access_key != "$KEY") { return 403; }`,
			},
		},
		{
			name:  "uploads of unknown length are refused",
			edits: []string{location, `location = /api/assets { if ($http_transfer_encoding) { return 411; } proxy_pass http://$UPSTREAM; } ` + location},
			want:  []string{"chunked-refused"},
		},
	})
}
