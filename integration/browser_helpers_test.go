package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// Debian's Chromium, without a window, in front of Traefik and of the standalone proxy. All names that it asks for lead to
// loopback, and the certificate of the doors is trusted by its key alone.

const (
	siteHost        = "photos.example.com"
	neighbourHost   = "blog.example.com" // another origin, of the same site
	strangerHost    = "elsewhere.example.net"
	browserPatience = 30 * time.Second
)

// site is a door that people open in a browser, and what is behind it.
type site struct {
	origin   string
	plain    string // the origin without TLS, if there is one
	keysFile string
	immich   *fakeimmich.Server
	arrivals *arrivals
	browser  *browser
}

// arrivals are the headers of all that has reached Immich.
type arrivals struct {
	next http.Handler
	mu   sync.Mutex
	seen []http.Header // guarded by mu
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.seen = append(a.seen, r.Header.Clone())
	a.mu.Unlock()
	a.next.ServeHTTP(w, r)
}

// mention tells whether any header that has arrived contains one of the texts.
func (a *arrivals) mention(texts ...string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, header := range a.seen {
		var lines bytes.Buffer
		_ = header.Write(&lines)
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(lines.String(), text) }) {
			return true
		}
	}
	return false
}

// ways are the two ways of running the handler. They get its options and the URL of Immich, and return where they listen for
// HTTPS, and for HTTP if they do.
var ways = map[string]func(t *testing.T, b *browser, options traefik.Settings, immich string) (secure, plain string){
	"Traefik":    openTraefik,
	"standalone": openStandalone,
}

// openSite has two keys in its file, of which a test may take the second away. Options are pairs of a name and a value.
func openSite(t *testing.T, b *browser, way string, options ...string) site {
	t.Helper()
	immich := fakeimmich.New()
	s := site{keysFile: filepath.Join(t.TempDir(), "keys.txt"), immich: immich, arrivals: &arrivals{next: immich}, browser: b}
	server := httptest.NewUnstartedServer(nil)
	server.Config = immich.HTTPServer()
	server.Config.Handler = s.arrivals
	server.Start()
	t.Cleanup(server.Close)
	writeKeys(t, s.keysFile, "family:"+familyKey+"\nguest:"+guestKey)
	settings := traefik.Settings{"keysFile": s.keysFile, "browserLogin": "true", "publicRoutes": "shared-links"}
	for pair := range slices.Chunk(options, 2) {
		settings[pair[0]] = pair[1]
	}
	secure, plain := ways[way](t, b, settings, server.URL)
	s.origin = fmt.Sprintf("https://%s:%d", siteHost, portOf(t, secure))
	if plain != "" {
		s.plain = fmt.Sprintf("http://%s:%d", siteHost, portOf(t, plain))
	}
	await(t, "the door", func() bool { return s.status(familyKey) == http.StatusOK })
	return s
}

func openTraefik(t *testing.T, b *browser, options traefik.Settings, immich string) (secure, plain string) {
	t.Helper()
	secure, plain = freeAddress(t), freeAddress(t)
	router := func(entryPoint string) traefik.Settings {
		return traefik.Settings{"rule": "PathPrefix(`/`)", "entryPoints": []string{entryPoint}, "middlewares": []string{"key"}, "service": "immich"}
	}
	routers := traefik.Settings{"secure": router("secure"), "plain": router("plain")}
	routers["secure"].(traefik.Settings)["tls"] = traefik.Settings{}
	start(t, traefik.Settings{"entryPoints": traefik.Settings{
		"secure": traefik.Settings{"address": secure}, "plain": traefik.Settings{"address": plain},
	}}, traefik.Settings{
		"http": traefik.Settings{
			"routers":     routers,
			"middlewares": traefik.Settings{"key": traefik.Settings{"plugin": traefik.Settings{pluginName: options}}},
			"services":    service(immich),
		},
		"tls": traefik.Settings{"stores": traefik.Settings{"default": traefik.Settings{
			"defaultCertificate": traefik.Settings{"certFile": b.certFile, "keyFile": b.keyFile},
		}}},
	}, secure, plain)
	return secure, plain
}

func openStandalone(t *testing.T, b *browser, options traefik.Settings, immich string) (secure, plain string) {
	t.Helper()
	secure = freeAddress(t)
	arguments := []string{"--upstreams=" + immich, "--listen.https=" + secure, "--listen.http=",
		"--tls.certFile=" + b.certFile, "--tls.keyFile=" + b.keyFile}
	for name, value := range options {
		arguments = append(arguments, fmt.Sprintf("--access.%s=%v", name, value))
	}
	launch(t, nil, "immichaccess", arguments...)
	return secure, ""
}

// status is what an app gets with the key, 0 without an answer.
func (s site) status(key string) int {
	request, err := http.NewRequest(http.MethodGet, "https://127.0.0.1:"+s.port()+"/api/server/ping", nil)
	if err != nil {
		return 0
	}
	request.Header.Set("X-Access-Key", key)
	response, err := http1Client().Do(request)
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

// browser is a running Chromium, and the certificate that it trusts.
type browser struct {
	ctx               context.Context
	certFile, keyFile string
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Debian's package chromium is needed: %v", err)
	}
	folder := t.TempDir()
	b := &browser{certFile: filepath.Join(folder, "cert.pem"), keyFile: filepath.Join(folder, "key.pem")}
	writeCertificate(t, b.certFile, b.keyFile)
	ctx, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("password-store", "basic"),
		chromedp.Flag("host-resolver-rules", "MAP *.example.com 127.0.0.1, MAP *.example.net 127.0.0.1, MAP * ~NOTFOUND"),
		chromedp.Flag("ignore-certificate-errors-spki-list", publicKeyDigest(t, b)))
	t.Cleanup(end)
	b.ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(b.ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(b.ctx); err != nil {
			t.Errorf("Chromium does not end: %v", err)
		}
	})
	return b
}

func publicKeyDigest(t *testing.T, b *browser) string {
	t.Helper()
	digest := sha256.Sum256(b.pair(t).Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(digest[:])
}

func (b *browser) pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(b.certFile, b.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// tab is a window with cookies of its own, as of another person, and what the browser has reported of it.
type tab struct {
	t        *testing.T
	ctx      context.Context
	mu       sync.Mutex
	requests []string // URLs; guarded by mu
	errors   []string // on the console; guarded by mu
}

// open returns a tab that must stay on the site, and in which no page may have anything to complain about.
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
				t.Errorf("the page asks %s", request)
			}
		}
	})
	return b
}

func (s site) owns(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "data" || strings.HasSuffix(s.origin, "//"+u.Host) || strings.HasSuffix(s.plain, "//"+u.Host))
}

// open returns a tab that may go anywhere.
func (b *browser) open(t *testing.T) *tab {
	t.Helper()
	return openTab(b.ctx, t, chromedp.WithNewBrowserContext())
}

// beside opens another tab for the same person.
func (b *tab) beside() *tab {
	b.t.Helper()
	return openTab(b.ctx, b.t)
}

func openTab(parent context.Context, t *testing.T, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(parent, options...)
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL+e.Request.URLFragment)
	case *network.EventWebSocketCreated:
		b.requests = append(b.requests, e.URL)
	case *log.EventEntryAdded:
		bad := e.Entry.Level == log.EntryLevelWarning || e.Entry.Level == log.EntryLevelError
		if bad && e.Entry.Source != log.EntrySourceNetwork { // which tells of each 403
			b.errors = append(b.errors, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		b.errors = append(b.errors, fmt.Sprint(e.Type, " ", len(e.Args)))
	}
}

// complains waits until the console says something with that text.
func (b *tab) complains(text string) {
	b.t.Helper()
	heard := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.errors, func(e string) bool { return strings.Contains(e, text) })
	}
	for deadline := time.Now().Add(browserPatience); !heard(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("the console does not say %q", text)
		}
	}
}

// run gives an action its time.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// navigate does what leads to another page, and returns the status of that page when it is loaded.
func (b *tab) navigate(steps ...chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatal(err)
	}
	if response == nil {
		b.t.Fatal("the page has stayed")
	}
	return response.Status
}

func (b *tab) visit(url string) int64 {
	b.t.Helper()
	return b.navigate(chromedp.Navigate(url))
}

// typeKey fills in the form as a person does, and returns the status of the page that follows.
func (b *tab) typeKey(key string) int64 {
	b.t.Helper()
	return b.navigate(chromedp.SendKeys(chromedp.CSS("input[name=key]"), key), chromedp.Click(chromedp.CSS("form > button")))
}

// eval returns the value of an expression, or what its promise becomes.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

func (b *tab) await(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(browserPatience); !eval[bool](b, "!!("+expression+")"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for %s; the page is\n%s", expression, eval[string](b, "document.documentElement.outerHTML"))
		}
	}
}

// fetched is an answer that a page's script gets.
type fetched struct {
	Status int
	Type   string
	Body   string
}

// fetch asks as a page's own script does.
func (b *tab) fetch(path string) fetched {
	b.t.Helper()
	quoted, _ := json.Marshal(path)
	return eval[fetched](b, fmt.Sprintf(`fetch(%s).then(async (r) => (
		{Status: r.status, Type: r.headers.get("content-type"), Body: await r.text()}))`, quoted))
}

func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	return result.Cookies
}

// goBack goes back in the history by that many pages, and waits until the page has another address.
func (b *tab) goBack(count int64) {
	b.t.Helper()
	history := run(b, chromedp.NavigationEntries())
	entry := history.Entries[history.CurrentIndex-count]
	run(b, chromedp.NavigateToHistoryEntry(entry.ID))
	b.await(fmt.Sprintf("location.href === %q && document.readyState === 'complete'", entry.URL))
}

// setMedia lets pages believe in a preferred colour scheme.
func (b *tab) setMedia(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}
