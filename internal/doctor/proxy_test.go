package doctor

import (
	"net/http"
	"slices"
	"testing"
)

func TestGuessesProxies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer answer
		want   []string
	}{
		"nginx":          {answer{status: 200, header: http.Header{"Server": {"nginx/1.22.1"}}}, []string{"nginx"}},
		"nginx's error":  {answer{status: 502, body: []byte("<center>nginx</center>")}, []string{"nginx"}},
		"NPM":            {answer{status: 200, header: http.Header{"Server": {"openresty"}, "X-Served-By": {"photos.example.com"}}}, []string{"Nginx Proxy Manager"}},
		"Caddy":          {answer{status: 200, header: http.Header{"Via": {"1.1 Caddy"}}}, []string{"Caddy"}},
		"HAProxy":        {answer{status: 403, body: []byte("<html><body><h1>403 Forbidden</h1>\nRequest forbidden")}, []string{"HAProxy"}},
		"ours":           {answer{status: 403, body: []byte(`{"message":"Missing or invalid access key (header X-Access-Key)"}`)}, []string{"immichaccess"}},
		"Cloudflare":     {answer{status: 200, header: http.Header{"Server": {"cloudflare"}, "Cf-Ray": {"8f-FRA"}}}, []string{"Cloudflare"}},
		"two":            {answer{status: 403, header: http.Header{"Cf-Ray": {"8f-FRA"}, "Via": {"1.1 Caddy"}}}, []string{"Cloudflare", "Caddy"}},
		"a page of ours": {answer{status: 200, body: []byte("<center>nginx</center>")}, []string{}},
		"none":           {answer{status: 200, header: http.Header{}}, []string{}},
	} {
		e := &examination{report: &Report{}}
		if c.answer.header == nil {
			c.answer.header = http.Header{}
		}
		e.traces.note(&c.answer)
		if got := e.guessProxy(t.Context()).names(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRemediesFitTheProxy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id      string
		proxies []Proxy
		where   string
	}{
		{"upload-limit", []Proxy{Nginx}, nginxServer},
		{"upload-limit", []Proxy{ProxyManager}, managerField},
		{"upload-limit", []Proxy{Cloudflare, Caddy}, dashboard},
		{"websocket-upgrade", []Proxy{ProxyManager}, "Nginx Proxy Manager, the proxy host's Details tab"},
		{"upload-limit", nil, "the proxy"},
	} {
		if got := remedyFor(c.id, c.proxies); got == nil || got.Where != c.where {
			t.Errorf("%s, %q: %+v", c.id, c.proxies, got)
		}
	}
}
