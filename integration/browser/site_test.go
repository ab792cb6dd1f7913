package browser

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	siteHost      = harness.Domain
	sameSiteHost  = "blog.example.com" // another origin of the same site, as browsers define it
	otherSiteHost = "elsewhere.example.net"

	familyKey = "family-0123456789abcdef0123456789abcdef"
	guestKey  = "guest-+/=fedcba9876543210fedcba98765432"
)

// site is an Immich behind a gateway, as users open it in a browser.
type site struct {
	origin   string
	plain    string // the origin without TLS, if there is one
	keysFile string
	immich   *fakeimmich.Server
	received *receivedHeaders
	browser  *browser
	app      *http.Client
}

// receivedHeaders are those of all requests that have reached Immich.
type receivedHeaders struct {
	next http.Handler
	mu   sync.Mutex
	seen []http.Header // guarded by mu
}

func (h *receivedHeaders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.seen = append(h.seen, r.Header.Clone())
	h.mu.Unlock()
	h.next.ServeHTTP(w, r)
}

// contain reports whether any of the headers contains one of the texts.
func (h *receivedHeaders) contain(texts ...string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, header := range h.seen {
		var lines bytes.Buffer
		_ = header.Write(&lines)
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(lines.String(), text) }) {
			return true
		}
	}
	return false
}

// keysFileDelay is the time within which a changed key file takes effect.
const keysFileDelay = 5 * time.Second

func (s site) writeKeys(t *testing.T, keys string) {
	t.Helper()
	harness.WriteFile(t, s.keysFile, keys+"\n")
}

// gateways start Traefik or the standalone proxy, with options of the access check and the URL of Immich, and return the addresses for
// HTTPS and, if there is one, for HTTP.
var gateways = map[string]func(t *testing.T, b *browser, options traefik.Settings, immich string) (secure, plain string){
	"Traefik":    startTraefik,
	"standalone": startStandalone,
}

// openSite starts a gateway with two keys in its file, of which a test may remove the second. Options are pairs of a name and a value.
func openSite(t *testing.T, b *browser, gateway string, options ...string) site {
	t.Helper()
	immich := fakeimmich.New()
	s := site{keysFile: filepath.Join(t.TempDir(), "keys.txt"), immich: immich, received: &receivedHeaders{next: immich}, browser: b, app: harness.Client(t, harness.HTTP1)}
	server := immich.HTTPServer()
	server.Handler = s.received
	upstream := harness.Serve(t, server)
	s.writeKeys(t, "family:"+familyKey+"\nguest:"+guestKey)
	settings := traefik.Settings{"keysFile": s.keysFile, "browserLogin": "true", "publicRoutes": "shared-links"}
	for pair := range slices.Chunk(options, 2) {
		settings[pair[0]] = pair[1]
	}
	secure, plain := gateways[gateway](t, b, settings, upstream)
	s.origin = fmt.Sprintf("https://%s:%d", siteHost, harness.Port(t, secure))
	if plain != "" {
		s.plain = fmt.Sprintf("http://%s:%d", siteHost, harness.Port(t, plain))
	}
	harness.Await(t, "the gateway", func() bool { return s.status(familyKey) == http.StatusOK })
	return s
}

func startTraefik(t *testing.T, b *browser, options traefik.Settings, immich string) (secure, plain string) {
	t.Helper()
	secure, plain = harness.FreeAddress(t), harness.FreeAddress(t)
	router := func(entryPoint string) traefik.Settings {
		return traefik.Settings{"rule": "PathPrefix(`/`)", "entryPoints": []string{entryPoint}, "middlewares": []string{"key"}, "service": "immich"}
	}
	routers := traefik.Settings{"secure": router("secure"), "plain": router("plain")}
	routers["secure"].(traefik.Settings)["tls"] = traefik.Settings{}
	traefik.Run(t, traefik.Settings{"entryPoints": traefik.Settings{
		"secure": traefik.Settings{"address": secure}, "plain": traefik.Settings{"address": plain},
	}}, traefik.Settings{
		"http": traefik.Settings{
			"routers":     routers,
			"middlewares": traefik.Settings{"key": traefik.Plugin(options)},
			"services":    traefik.Settings{"immich": traefik.Service(immich)},
		},
		"tls": traefik.Settings{"stores": traefik.Settings{"default": traefik.Settings{
			"defaultCertificate": traefik.Settings{"certFile": b.certFile, "keyFile": b.keyFile},
		}}},
	}, secure, plain)
	return secure, plain
}

func startStandalone(t *testing.T, b *browser, options traefik.Settings, immich string) (secure, plain string) {
	t.Helper()
	secure = harness.FreeAddress(t)
	arguments := []string{"--upstreams=" + immich, "--listen.https=" + secure, "--listen.http=",
		"--tls.certFile=" + b.certFile, "--tls.keyFile=" + b.keyFile}
	for name, value := range options {
		arguments = append(arguments, fmt.Sprintf("--access.%s=%v", name, value))
	}
	harness.Start(t, harness.Binary(t), arguments...)
	return secure, ""
}

// status is the answer to an app with the key, 0 without an answer.
func (s site) status(key string) int {
	request, err := http.NewRequest(http.MethodGet, "https://127.0.0.1:"+s.port()+"/api/server/ping", nil)
	if err != nil {
		return 0
	}
	request.Header.Set("X-Access-Key", key)
	response, err := s.app.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

func (s site) port() string {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.origin, "https://"))
	return port
}

// open returns a tab that must stay on the site, and in which no page may cause an error on the console.
func (s site) open(t *testing.T) *tab {
	t.Helper()
	b := s.browser.open(t)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, complaint := range b.errors {
			t.Errorf("on the console: %s", complaint)
		}
		for _, request := range b.requests {
			if !s.owns(request) {
				t.Errorf("the page requests %s", request)
			}
		}
	})
	return b
}

func (s site) owns(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "data" || strings.HasSuffix(s.origin, "//"+u.Host) || strings.HasSuffix(s.plain, "//"+u.Host))
}
