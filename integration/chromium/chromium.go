// Package chromium starts Chromium for the tests that use a real browser.
package chromium

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/integration/harness"
)

// Start runs Debian's Chromium without a window until the test ends. The names below example.com and example.net lead to loopback,
// all others nowhere. The test says which certificates it accepts, by a flag.
func Start(t *testing.T, flag string, value any) context.Context {
	t.Helper()
	allocator, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(harness.Tool(t, "chromium")), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("password-store", "basic"),
		chromedp.Flag("host-resolver-rules", "MAP *.example.com 127.0.0.1, MAP *.example.net 127.0.0.1, MAP * ~NOTFOUND"),
		chromedp.Flag(flag, value))
	t.Cleanup(end)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("Chromium does not end: %v", err)
		}
	})
	return ctx
}
