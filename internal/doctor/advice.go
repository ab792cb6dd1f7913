package doctor

// advice is how to correct what a finding is about: for each proxy, or for any (the empty one). docs/doctor.md has the same text; a
// test compares them.
type advice map[Proxy]Remedy

const (
	nginxServer  = "nginx.conf or sites-enabled/…, in the server block of Immich"
	managerField = "Nginx Proxy Manager, the proxy host's Advanced tab, Custom Nginx Configuration"
	caddyFile    = "Caddyfile, in the block of Immich's name"
	caddyGlobal  = "Caddyfile, in the global options at the top"
	traefikFile  = "traefik.yml (static configuration), at the entry point"
	traefikRoute = "dynamic.yml, or the labels of immich-server"
	haproxyFront = "haproxy.cfg, in the frontend"
	haproxyBack  = "haproxy.cfg, in the backend of Immich"
	ownFile      = "immichaccess.yml"
	dashboard    = "Cloudflare, the dashboard"
)

// remedyFor returns the remedy for the outermost proxy for which one is known. A proxy behind another can't be recognized, so its
// remedy may be missing; the documentation has all of them.
func remedyFor(id string, proxies []Proxy) *Remedy {
	all := remedies[id]
	for _, proxy := range proxies {
		if r, ok := all[proxy]; ok {
			r.Proxy = string(proxy)
			return &r
		}
		if r, ok := all[Nginx]; ok && proxy == ProxyManager {
			return &Remedy{Proxy: string(proxy), Where: managerField, Lines: r.Lines}
		}
	}
	if r, ok := all[""]; ok {
		return &r
	}
	return nil
}

var remedies = map[string]advice{
	"name-unknown": {"": {Where: "the DNS of your domain", Lines: []string{"an A record (IPv4), and AAAA if you have IPv6"}}},
	"address-unreachable": {"": {Where: "router and firewall", Lines: []string{
		"forward the port to the proxy, and check that the proxy is running; from home, try over the mobile network",
	}}},
	"address-partly": {"": {Where: "the DNS of your domain, or the firewall", Lines: []string{
		"open the port for that address too, or remove the record",
	}}},
	"tls-missing": {"": {Where: "the proxy", Lines: []string{"serve HTTPS, and give the app an https:// address"}}},
	"tls-failed": {
		"":           {Where: "the proxy", Lines: []string{"serve TLS 1.2 and 1.3 on this port"}},
		ImmichAccess: {Where: ownFile, Lines: []string{"domains: [photos.example.com]"}},
	},
	"certificate-expired":     renewal,
	"certificate-expiring":    renewal,
	"certificate-early":       {"": {Where: "the server", Lines: []string{"set its clock (NTP), then renew the certificate"}}},
	"certificate-name":        newCertificate,
	"certificate-self-signed": newCertificate,
	"certificate-untrusted": {"": {Where: "the phones, or the proxy", Lines: []string{
		"install your CA's root certificate on each phone, or use a certificate from Let's Encrypt",
	}}},
	"certificate-weak": {"": {Where: "the proxy", Lines: []string{"issue the certificate for a new private key: ECDSA P-256, or RSA with 2048 bits"}}},
	"certificate-chain": {
		Nginx:        {Where: nginxServer, Lines: []string{"ssl_certificate …/fullchain.pem;  # not cert.pem"}},
		ProxyManager: {Where: "Nginx Proxy Manager, SSL Certificates, Custom", Lines: []string{"upload the intermediate certificate too"}},
		Caddy:        {Where: caddyFile, Lines: []string{"tls fullchain.pem key.pem  # not cert.pem"}},
		Traefik:      {Where: traefikRoute, Lines: []string{"tls.certificates.certFile: fullchain.pem  # not cert.pem"}},
		HAProxy:      {Where: haproxyFront, Lines: []string{"bind :443 ssl crt site.pem  # certificate, intermediate, key, in that order"}},
		ImmichAccess: {Where: ownFile, Lines: []string{"tls: {certFile: fullchain.pem}  # not cert.pem"}},
		Apache:       {Where: "the VirtualHost", Lines: []string{"SSLCertificateFile …/fullchain.pem"}},
	},
	"certificate-differs": {"": {Where: "the DNS of your domain", Lines: []string{"all addresses should be those of the same proxy"}}},

	"no-answer": {"": {Where: "the proxy's log", Lines: []string{"look for entries of the time of the test; restart the proxy and Immich"}}},
	"http1-missing": {
		"":      {Where: "the proxy", Lines: []string{"offer http/1.1 as well as h2 in ALPN"}},
		HAProxy: {Where: haproxyFront, Lines: []string{"bind :443 ssl crt site.pem alpn h2,http/1.1"}},
		Traefik: {Where: traefikRoute, Lines: []string{"tls.options.default.alpnProtocols: [h2, http/1.1]"}},
	},
	"http2-broken": {"": {Where: "the proxy", Lines: []string{"see the proxy's log; until HTTP/2 works, remove h2 from ALPN"}}},
	"http2-missing": {
		Nginx:        {Where: nginxServer, Lines: []string{"listen 443 ssl http2;  # since 1.25.1: http2 on;"}},
		ProxyManager: {Where: "Nginx Proxy Manager, the proxy host's SSL tab", Lines: []string{"HTTP/2 Support: on"}},
		HAProxy:      {Where: haproxyFront, Lines: []string{"bind :443 ssl crt site.pem alpn h2,http/1.1"}},
		Caddy:        {Where: caddyGlobal, Lines: []string{"servers { protocols h1 h2 h3 }"}},
		Traefik:      {Where: traefikRoute, Lines: []string{"tls.options.default.alpnProtocols: [h2, http/1.1]"}},
		Apache:       {Where: "the VirtualHost", Lines: []string{"Protocols h2 http/1.1"}},
	},
	"http3-unreachable": {
		"":           {Where: "router and firewall", Lines: []string{"open UDP port 443 too, also in Docker (443:443/udp), or turn HTTP/3 off"}},
		Nginx:        {Where: nginxServer, Lines: []string{"listen 443 quic reuseport;  # and open UDP 443, or remove Alt-Svc"}},
		Caddy:        {Where: "the firewall and Docker (443:443/udp), or " + caddyGlobal, Lines: []string{"servers { protocols h1 h2 }"}},
		Traefik:      {Where: "the firewall and Docker (443:443/udp), or " + traefikFile, Lines: []string{"remove http3: {}"}},
		HAProxy:      {Where: haproxyFront, Lines: []string{"bind quic4@:443 ssl crt site.pem alpn h3  # and open UDP 443, or remove Alt-Svc"}},
		ImmichAccess: {Where: "the firewall and Docker (443:443/udp), or " + ownFile, Lines: []string{"http3: false"}},
	},
	"http-not-redirected": redirecting,
	"redirect-elsewhere":  redirecting,
	"redirect-method":     redirecting,

	"login-page": {
		"":         {Where: "the login proxy (Authelia, authentik, oauth2-proxy …)", Lines: []string{"exempt /api and /.well-known/immich, and protect them with a key"}},
		Cloudflare: {Where: dashboard + ", Zero Trust, Access", Lines: []string{"add a policy of type Service Auth, and its two headers to the app, or a Bypass policy for /api"}},
	},
	"redirected": {"": {Where: "the proxy", Lines: []string{"don't redirect /api; enter the address that it redirects to in the app"}}},
	"immich-down": {
		"":           {Where: "the proxy", Lines: []string{"the upstream is http://immich-server:2283 in the same Docker network, or http://127.0.0.1:2283"}},
		Nginx:        {Where: nginxServer, Lines: []string{"proxy_pass http://127.0.0.1:2283;"}},
		ProxyManager: {Where: "Nginx Proxy Manager, the proxy host's Details tab", Lines: []string{"Scheme http, Forward Port 2283"}},
		Caddy:        {Where: caddyFile, Lines: []string{"reverse_proxy 127.0.0.1:2283"}},
		Traefik:      {Where: traefikRoute, Lines: []string{"traefik.http.services.immich.loadbalancer.server.port=2283"}},
		HAProxy:      {Where: haproxyBack, Lines: []string{"server immich 127.0.0.1:2283"}},
		ImmichAccess: {Where: ownFile, Lines: []string{"upstreams: [http://127.0.0.1:2283]"}},
	},
	"not-immich": {
		"":    {Where: "the proxy", Lines: []string{"forward all paths of this host name to immich-server:2283, without adding a path"}},
		Nginx: {Where: nginxServer, Lines: []string{"location / { proxy_pass http://127.0.0.1:2283; }"}},
	},
	"sub-path": {"": {Where: "DNS and the proxy", Lines: []string{"use a separate host name, such as photos.example.com, and forward it to Immich at /"}}},

	"locked-out": {"": {Where: "the app", Lines: []string{"correct the key, and wait"}}},
	"client-certificate-needed": {"": {Where: "the app, before login", Lines: []string{
		"Settings > Advanced > client certificate; Chromecast, the iOS widget and OAuth can't use it",
	}}},
	"key-needed": {"": {Where: "this command", Lines: []string{"--keyFile=FILE, a file with the key"}}},
	"key-refused": {
		"":    {Where: "the app and the proxy", Lines: []string{"compare the key and the header name, without blanks or a line break"}},
		Nginx: {Where: nginxServer, Lines: []string{"proxy_set_header X-Access-Key $http_x_access_key;  # nginx drops names with _"}},
	},
	"no-key":             askForKey,
	"key-not-asked":      askForKey,
	"wrong-key-accepted": {"": {Where: "the proxy", Lines: []string{"compare the whole value, instead of checking only that the header is present"}}},
	"key-bypassed": {
		"":           {Where: "the proxy", Lines: []string{"trust the forwarding headers of your own proxies only"}},
		Nginx:        {Where: nginxServer, Lines: []string{"set_real_ip_from …;  # only the proxy in front, not 0.0.0.0/0"}},
		Caddy:        {Where: caddyGlobal, Lines: []string{"servers { trusted_proxies static … }", "remote_ip instead of client_ip in matchers"}},
		Traefik:      {Where: traefikFile, Lines: []string{"forwardedHeaders.trustedIPs: […]  # not insecure: true"}},
		ImmichAccess: {Where: ownFile, Lines: []string{"access: {trustedProxies: […]}  # only the proxy in front"}},
	},
	"key-dropped": {
		"":    {Where: "the proxy", Lines: []string{"forward all headers, on every path"}},
		Nginx: {Where: "nginx, in each location", Lines: []string{"proxy_set_header X-Access-Key $http_x_access_key;"}},
	},
	"request-blocked": {
		"":         {Where: "the proxy", Lines: []string{"forward every path and method of this host name to Immich; check the log of the firewall (WAF)"}},
		Cloudflare: {Where: dashboard + ", Security, Events", Lines: []string{"add a rule that skips the WAF for this host name"}},
	},
	"chunked-refused": {"": {Where: "the proxy", Lines: []string{"allow Transfer-Encoding: chunked in requests"}}},

	"websocket-upgrade": {
		Nginx: {Where: nginxServer, Lines: []string{
			"proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", `proxy_set_header Connection "upgrade";`,
		}},
		ProxyManager: {Where: "Nginx Proxy Manager, the proxy host's Details tab", Lines: []string{"Websockets Support: on"}},
		Caddy:        {Where: caddyFile, Lines: []string{"reverse_proxy 127.0.0.1:2283  # without header_up for Upgrade and Connection"}},
		Traefik:      {Where: traefikRoute, Lines: []string{"remove every headers middleware that changes Upgrade or Connection"}},
		HAProxy:      {Where: haproxyBack, Lines: []string{"remove option httpclose, and http-request del-header Upgrade"}},
		Cloudflare:   {Where: dashboard + ", Network", Lines: []string{"WebSockets: on"}},
		Apache:       {Where: "the VirtualHost", Lines: []string{"ProxyPass / http://127.0.0.1:2283/ upgrade=websocket"}},
	},
	"websocket-refused": {"": {Where: "the proxy", Lines: []string{"forward /api/socket.io to Immich, over HTTP/1.1, with the Upgrade header"}}},
	"websocket-key":     {"": {Where: "the proxy", Lines: []string{"forward the key's header with the upgrade, too"}}},
	"websocket-no-data": {"": {Where: "the proxy", Lines: []string{"turn off buffering and inspection of WebSockets"}}},
	"well-known": {
		"":      {Where: "the proxy", Lines: []string{"forward /.well-known/immich to Immich; only acme-challenge is for the proxy"}},
		Nginx:   {Where: nginxServer, Lines: []string{"location = /.well-known/immich { proxy_pass http://127.0.0.1:2283; }"}},
		Caddy:   {Where: caddyFile, Lines: []string{"handle /.well-known/immich { reverse_proxy 127.0.0.1:2283 }"}},
		Traefik: {Where: traefikRoute, Lines: []string{"remove any other router with PathPrefix(`/.well-known`) for this host name"}},
		HAProxy: {Where: haproxyFront, Lines: []string{"use_backend … if { path_beg /.well-known/acme-challenge/ }  # no more than that"}},
	},

	"upload-limit": {
		"":           {Where: "the proxy", Lines: []string{"allow request bodies of 50000 MB"}},
		Nginx:        {Where: nginxServer, Lines: []string{"client_max_body_size 50000M;"}},
		Caddy:        {Where: caddyFile, Lines: []string{"remove request_body { max_size … }"}},
		Traefik:      {Where: traefikRoute, Lines: []string{"remove the buffering middleware (maxRequestBodyBytes)"}},
		HAProxy:      {Where: haproxyFront, Lines: []string{"remove the http-request deny on content-length or req.body_size"}},
		Cloudflare:   {Where: dashboard, Lines: []string{"the free plan is limited to 100 MB: use a DNS record without proxy (grey cloud), or a VPN"}},
		ImmichAccess: {Where: ownFile + ", or the plugin's options", Lines: []string{"maxUploadSize: 50000M"}},
		Apache:       {Where: "the VirtualHost", Lines: []string{"LimitRequestBody 0"}},
	},
	"upload-time": {
		"":           {Where: "the proxy", Lines: []string{"limit the idle time of a request, not its duration"}},
		Nginx:        {Where: nginxServer, Lines: []string{"client_body_timeout 600s;", "proxy_send_timeout 600s;", "proxy_read_timeout 600s;"}},
		Caddy:        {Where: caddyGlobal, Lines: []string{"servers { timeouts { read_body 0 } }"}},
		Traefik:      {Where: traefikFile, Lines: []string{"transport.respondingTimeouts.readTimeout: 0"}},
		HAProxy:      {Where: haproxyFront, Lines: []string{"no option http-buffer-request", "timeout client 600s"}},
		Cloudflare:   {Where: dashboard, Lines: []string{"this timeout can't be changed: use a DNS record without proxy (grey cloud), or a VPN"}},
		ImmichAccess: {Where: ownFile, Lines: []string{"timeouts: {idle: 600s}"}},
	},
	"upload-buffered": {
		"":      {Where: "the proxy", Lines: []string{"turn off request buffering"}},
		Nginx:   {Where: nginxServer, Lines: []string{"proxy_request_buffering off;"}},
		Caddy:   {Where: caddyFile, Lines: []string{"remove request_buffers from reverse_proxy"}},
		Traefik: {Where: traefikRoute, Lines: []string{"remove the buffering middleware"}},
		HAProxy: {Where: haproxyBack, Lines: []string{"remove option http-buffer-request"}},
		Cloudflare: {Where: dashboard, Lines: []string{
			"request buffering can't be turned off: use a DNS record without proxy (grey cloud), or a VPN",
		}},
		Apache: {Where: "the VirtualHost", Lines: []string{"remove SetEnv proxy-sendcl"}},
	},
	"early-answer-cut": {Nginx: {Where: nginxServer, Lines: []string{"lingering_close always;"}}},

	"range-ignored": {
		"":      {Where: "the proxy", Lines: []string{"forward Range and If-Range, and the 206 response"}},
		Nginx:   {Where: nginxServer, Lines: []string{"proxy_set_header Range $http_range;", "proxy_set_header If-Range $http_if_range;", "proxy_cache off;"}},
		Caddy:   {Where: caddyFile, Lines: []string{"remove header_up -Range from reverse_proxy"}},
		Traefik: {Where: traefikRoute, Lines: []string{"remove every headers middleware that sets Range"}},
		HAProxy: {Where: haproxyFront, Lines: []string{"remove http-request del-header Range"}},
	},
	"media-compressed": {
		"":      {Where: "the proxy", Lines: []string{"compress text only: HTML, CSS, JavaScript, JSON"}},
		Nginx:   {Where: nginxServer, Lines: []string{"gzip_types text/css application/javascript application/json;"}},
		Caddy:   {Where: caddyFile, Lines: []string{"encode  # without a match for image/* or video/*"}},
		Traefik: {Where: traefikRoute, Lines: []string{"compress.includedContentTypes: [text/html, text/css, text/javascript, application/json]"}},
		HAProxy: {Where: haproxyBack, Lines: []string{"compression type text/html text/css text/javascript application/json"}},
		Apache:  {Where: "the VirtualHost", Lines: []string{"AddOutputFilterByType DEFLATE text/html text/css application/json"}},
	},

	"links-closed": {
		"":           {Where: "the proxy", Lines: []string{"exempt from the key what docs/clients.md lists for shared links"}},
		ImmichAccess: {Where: ownFile + ", or the plugin's options", Lines: []string{"publicRoutes: [shared-links]"}},
	},
	"links-half-open": {
		"":           {Where: "the proxy", Lines: []string{"exempt everything that docs/clients.md lists for shared links"}},
		ImmichAccess: {Where: ownFile + ", or the plugin's options", Lines: []string{"publicRoutes: [shared-links]"}},
	},
	"host-lost": {
		"":      {Where: "the proxy", Lines: []string{"forward the Host header unchanged"}},
		Nginx:   {Where: nginxServer, Lines: []string{"proxy_set_header Host $http_host;"}},
		Caddy:   {Where: caddyFile, Lines: []string{"remove header_up Host from reverse_proxy"}},
		Traefik: {Where: traefikRoute, Lines: []string{"loadBalancer.passHostHeader: true"}},
		HAProxy: {Where: haproxyBack, Lines: []string{"remove http-request set-header Host"}},
		Apache:  {Where: "the VirtualHost", Lines: []string{"ProxyPreserveHost On"}},
	},
	"scheme-lost": {
		"":      {Where: "the proxy", Lines: []string{"set X-Forwarded-Proto to https"}},
		Nginx:   {Where: nginxServer, Lines: []string{"proxy_set_header X-Forwarded-Proto $scheme;"}},
		Caddy:   {Where: caddyGlobal, Lines: []string{"servers { trusted_proxies static private_ranges }  # if a proxy in front terminates TLS"}},
		Traefik: {Where: traefikFile, Lines: []string{"forwardedHeaders.trustedIPs: […]  # if a proxy in front terminates TLS"}},
		HAProxy: {Where: haproxyFront, Lines: []string{"http-request set-header X-Forwarded-Proto https if { ssl_fc }"}},
		Apache:  {Where: "the VirtualHost", Lines: []string{`RequestHeader set X-Forwarded-Proto "https"`}},
	},
	"client-address": {
		"":           {Where: "the proxy", Lines: []string{"set X-Forwarded-For to the client IP"}},
		Nginx:        {Where: nginxServer, Lines: []string{"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", "proxy_set_header X-Real-IP $remote_addr;"}},
		Caddy:        {Where: caddyGlobal, Lines: []string{"servers { trusted_proxies static … }  # the proxy in front, if there is one"}},
		Traefik:      {Where: traefikFile, Lines: []string{"forwardedHeaders.trustedIPs: […]  # the proxy in front, if there is one"}},
		HAProxy:      {Where: haproxyBack, Lines: []string{"option forwardfor"}},
		ImmichAccess: {Where: ownFile, Lines: []string{"access: {trustedProxies: […]}  # the proxy in front, if there is one"}},
	},
}

var (
	renewal = advice{
		"":           {Where: "the proxy", Lines: []string{"the proxy's log says why renewal fails: does the host name resolve to this server, is port 80 open?"}},
		Nginx:        {Where: "the server", Lines: []string{"check with certbot renew --dry-run, and run nginx -s reload after each renewal"}},
		ProxyManager: {Where: "Nginx Proxy Manager, SSL Certificates", Lines: []string{"Renew Now, with port 80 open"}},
		HAProxy:      {Where: "the server", Lines: []string{"renew, put the new file in place, and reload HAProxy after each renewal"}},
	}
	newCertificate = advice{
		"":           {Where: "the proxy", Lines: []string{"get a certificate for exactly this host name, from Let's Encrypt for example"}},
		Nginx:        {Where: nginxServer, Lines: []string{"server_name photos.example.com;", "ssl_certificate …/fullchain.pem;  # certbot --nginx makes it"}},
		ProxyManager: {Where: "Nginx Proxy Manager, the proxy host's SSL tab", Lines: []string{"Request a new SSL Certificate"}},
		Caddy:        {Where: caddyFile, Lines: []string{"photos.example.com { … }  # the name, not a port or address"}},
		Traefik:      {Where: traefikRoute, Lines: []string{"tls.certResolver: letsencrypt  # tls: {} alone is Traefik's own certificate"}},
		ImmichAccess: {Where: ownFile, Lines: []string{"domains: [photos.example.com]"}},
	}
	redirecting = advice{
		"":      {Where: "the proxy", Lines: []string{"redirect plain HTTP to https:// and the same path, with status 308"}},
		Nginx:   {Where: "nginx, in the server block for port 80", Lines: []string{"return 308 https://$host$request_uri;"}},
		Caddy:   {Where: caddyFile, Lines: []string{"redir https://{host}{uri} 308  # or leave it to Caddy"}},
		Traefik: {Where: traefikFile, Lines: []string{"http.redirections.entryPoint: {to: websecure, scheme: https}"}},
		HAProxy: {Where: haproxyFront, Lines: []string{"http-request redirect scheme https code 308 unless { ssl_fc }"}},
		Apache:  {Where: "the VirtualHost of port 80", Lines: []string{"Redirect 308 / https://photos.example.com/"}},
	}
	askForKey = advice{"": {Where: "if it is reachable from the Internet", Lines: []string{
		"put immichaccess in front of it, or another gateway that requires a key in a header, on every listener",
	}}}
)
