// Package browser logs people in with a real browser: Debian's Chromium, without a window, with Traefik and with the standalone proxy. All
// names that it requests lead to loopback, and the gateways' certificate is trusted by its key alone.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/integration/chromium"
	"github.com/immichaccess/immichaccess/integration/harness"
)

// browser is a running Chromium, and the certificate that it trusts.
type browser struct {
	ctx               context.Context
	certFile, keyFile string
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	folder := t.TempDir()
	b := &browser{certFile: filepath.Join(folder, "cert.pem"), keyFile: filepath.Join(folder, "key.pem")}
	harness.WriteCertificate(t, b.certFile, b.keyFile)
	b.ctx = chromium.Start(t, "ignore-certificate-errors-spki-list", publicKeyDigest(t, b))
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

// tab has cookies of its own, as of another person, and what the browser has reported about its pages.
type tab struct {
	t        *testing.T
	ctx      context.Context
	mu       sync.Mutex
	requests []string // URLs; guarded by mu
	errors   []string // on the console; guarded by mu
}

// open returns a tab that may request any host.
func (b *browser) open(t *testing.T) *tab {
	t.Helper()
	return openTab(b.ctx, t, chromedp.WithNewBrowserContext())
}

// newTab opens another tab with the same cookies.
func (b *tab) newTab() *tab {
	b.t.Helper()
	return openTab(b.ctx, b.t)
}

func openTab(parent context.Context, t *testing.T, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(parent, options...)
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.record); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) record(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL+e.Request.URLFragment)
	case *network.EventWebSocketCreated:
		b.requests = append(b.requests, e.URL)
	case *log.EventEntryAdded:
		bad := e.Entry.Level == log.EntryLevelWarning || e.Entry.Level == log.EntryLevelError
		if bad && e.Entry.Source != log.EntrySourceNetwork { // which reports every 403
			b.errors = append(b.errors, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		b.errors = append(b.errors, fmt.Sprint(e.Type, " ", len(e.Args)))
	}
}

// awaitConsole waits until an error with that text is on the console.
func (b *tab) awaitConsole(text string) {
	b.t.Helper()
	harness.Await(b.t, fmt.Sprintf("%q on the console", text), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.errors, func(e string) bool { return strings.Contains(e, text) })
	})
}

// run waits for an action.
func run[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, harness.Patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// navigate performs actions that open another page, and returns the status of that page when it has loaded.
func (b *tab) navigate(steps ...chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, harness.Patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatal(err)
	}
	if response == nil {
		b.t.Fatal("no other page was loaded")
	}
	return response.Status
}

func (b *tab) visit(url string) int64 {
	b.t.Helper()
	return b.navigate(chromedp.Navigate(url))
}

// typeKey submits the form as a user does, and returns the status of the page that follows.
func (b *tab) typeKey(key string) int64 {
	b.t.Helper()
	return b.navigate(chromedp.SendKeys(chromedp.CSS("input[name=key]"), key), chromedp.Click(chromedp.CSS("form > button")))
}

// eval returns the value of an expression, or that of its promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// await waits until an expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	// While the page is loading, the expression may throw.
	holds := "(() => { try { return !!(" + expression + ") } catch { return false } })()"
	if !harness.Eventually(func() bool { return eval[bool](b, holds) }) {
		b.t.Fatalf("timed out waiting for %s; the page is\n%s", expression, eval[string](b, "document.documentElement.outerHTML"))
	}
}

// fetched is a response to a page's script.
type fetched struct {
	Status int
	Type   string
	Body   string
}

// fetch makes a request as a page's own script does.
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

// setMedia sets the preferred colour scheme.
func (b *tab) setMedia(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}
