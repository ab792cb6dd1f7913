package loginpage

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/integration/harness"
)

// screen is one that the login page has to fit.
type screen struct {
	width, height int64
	scheme        string // light or dark
	isDesktop     bool
}

var phone = screen{390, 844, "light", false}

// tab has its own cookies, and what the browser has reported about its pages.
type tab struct {
	t        *testing.T
	ctx      context.Context
	screen   screen
	mu       sync.Mutex
	requests []string // method and URL; guarded by mu
	errors   []string // on the console; guarded by mu
}

// open returns a tab with an empty page. No page in it may report an error.
func open(chromium context.Context, t *testing.T, s screen) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx, screen: s}
	if err := chromedp.Listen(ctx, b.record); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, message := range b.errors {
			t.Errorf("on the console: %s", message)
		}
	})
	call(b, network.Enable, network.EnableParams{})
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
	})
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch}
	if s.isDesktop {
		options = nil
	}
	run(b, chromedp.EmulateViewport(s.width, s.height, options...))
	return b
}

func (b *tab) record(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.Method+" "+e.Request.URL)
	case *log.EventEntryAdded:
		bad := e.Entry.Level == log.EntryLevelWarning || e.Entry.Level == log.EntryLevelError
		if bad && e.Entry.Source != log.EntrySourceNetwork { // which reports every 403
			b.errors = append(b.errors, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	}
}

// lastRequest returns the method and the URL of the last request.
func (b *tab) lastRequest() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[len(b.requests)-1]
}

func call[P, R any](b *tab, method cdp.Command[P, R], parameters P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, method, parameters)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func run[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, harness.Patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%v; the page is\n%s", err, b.source())
	}
	return result
}

// source returns the current page, for the message of a failed test.
func (b *tab) source() string {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	source, err := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("html")))
	if err != nil {
		return err.Error()
	}
	return source
}

// navigate performs an action that leads to another page, and returns the status of that page when it has loaded.
func (b *tab) navigate(action chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, harness.Patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	if response == nil {
		b.t.Fatal("no other page has loaded")
	}
	return response.Status
}

func (b *tab) visit(url string) int64 {
	b.t.Helper()
	return b.navigate(chromedp.Navigate(url))
}

// submit presses the button of the form.
func (b *tab) submit() int64 {
	b.t.Helper()
	return b.navigate(chromedp.Click(chromedp.CSS("form > button")))
}

func (b *tab) enter(key string) {
	b.t.Helper()
	run(b, chromedp.SendKeys(chromedp.CSS("#key"), key))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	run(b, chromedp.Click(chromedp.CSS(selector)))
}

func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// want waits until an expression has that value.
func (b *tab) want(expression, value string) {
	b.t.Helper()
	var got string
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(20 * time.Millisecond) {
		// While the page is loading, the expression may throw.
		if got = eval[string](b, "(() => { try { return String("+expression+") } catch (error) { return String(error) } })()"); got == value {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is %q, want %q", expression, got, value)
		}
	}
}

// clipboard returns what a user would paste.
func (b *tab) clipboard() string {
	b.t.Helper()
	eval[any](b, "key.focus(), key.select(), null")
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "v", Commands: []string{"paste"}})
	return eval[string](b, "key.value")
}

// wantSecretHidden wants the secret to be neither in the address bar nor in the history, nor in any request.
func (b *tab) wantSecretHidden(secret string) {
	b.t.Helper()
	urls := []string{eval[string](b, "location.href")}
	for _, entry := range run(b, chromedp.NavigationEntries()).Entries {
		urls = append(urls, entry.URL)
	}
	b.mu.Lock()
	urls = append(urls, b.requests...)
	b.mu.Unlock()
	if at := slices.IndexFunc(urls, func(url string) bool { return strings.Contains(url, secret) }); at >= 0 {
		b.t.Errorf("the key is in %s", urls[at])
	}
}

// check takes a picture of the page, and checks that it fits the width of the screen, that its controls are large enough for a
// thumb and have names, and that texts have the contrast that WCAG 2.2 requires (1.4.3).
func (b *tab) check(picture string) {
	b.t.Helper()
	b.takePicture(picture)
	// On a phone, innerWidth grows with a page that is too wide.
	if width := eval[int64](b, "Math.max(document.documentElement.scrollWidth, innerWidth)"); width > b.screen.width {
		b.t.Errorf("%s: the page is wider than the screen", picture)
	}
	for what, selected := range map[string]string{
		"too small for a thumb": `e.matches("input, button, summary") && e.getBoundingClientRect().height < 44`,
		"without a label":       `e.matches("input") && e.labels.length === 0`,
		"cut off":               `e.matches("button, summary, label, p, h1") && e.scrollWidth > e.clientWidth`,
		"too little contrast":   `e.innerText && contrast(light(getComputedStyle(e).color), light(background(e))) < 4.5`,
	} {
		if found := eval[[]string](b, fmt.Sprintf(selectVisible, selected)); len(found) > 0 {
			b.t.Errorf("%s: %s: %q", picture, what, found)
		}
	}
}

func (b *tab) takePicture(name string) {
	b.t.Helper()
	if err := os.WriteFile(name+".png", run(b, chromedp.CaptureScreenshot()), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

const selectVisible = `(() => {
	const channels = (color) => color.match(/[\d.]+/g).map(Number)
	const light = (color) => {
		const [r, g, b] = channels(color).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		return 0.2126 * r + 0.7152 * g + 0.0722 * b
	}
	const background = (e) => {
		const color = getComputedStyle(e).backgroundColor
		return channels(color)[3] === 0 ? background(e.parentElement) : color
	}
	const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
	const isVisible = (e) => e.checkVisibility({contentVisibilityAuto: true}) && !e.matches("[role=status]")
	return [...document.querySelectorAll("main *")].filter((e) => isVisible(e) && (%s)).map((e) => e.outerHTML)
})()`
