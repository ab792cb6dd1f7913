// Command pictures makes the pictures of the repository: the login page, in Chromium, the doctor's report, and the icon and the banner
// of the plugin catalog.
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/integration/harness"
)

const (
	loginPage     = "docs/images/login-page.png"
	darkLoginPage = "docs/images/login-page-dark.png"
	doctorReport  = "docs/images/doctor.svg"
	icon          = ".assets/icon.png"
	banner        = ".assets/banner.png"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pictures DIRECTORY")
		os.Exit(2)
	}
	if err := takePictures(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// takePictures writes them below a directory, at their places in the repository.
func takePictures(directory string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	gateway, err := startGateway(ctx)
	if err != nil {
		return err
	}
	defer gateway.Close()
	browser, stop := startChromium(ctx)
	defer stop()
	for _, picture := range []struct {
		name string
		take func() ([]byte, error)
	}{
		{loginPage, func() ([]byte, error) { return photograph(browser, gateway.URL, "light") }},
		{darkLoginPage, func() ([]byte, error) { return photograph(browser, gateway.URL, "dark") }},
		{doctorReport, func() ([]byte, error) { return drawDoctor(ctx) }},
		{icon, func() ([]byte, error) { return render(browser, ".assets/icon.svg", 256, 256) }},
		{banner, func() ([]byte, error) { return render(browser, ".assets/banner.svg", 1280, 640) }},
	} {
		content, err := picture.take()
		if err != nil {
			return fmt.Errorf("%s: %w", picture.name, err)
		}
		file := filepath.Join(directory, picture.name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // published
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil { //nolint:gosec // published
			return err
		}
	}
	return nil
}

// startGateway serves the login page: it denies a browser that has no key.
func startGateway(ctx context.Context) (*httptest.Server, error) {
	config := immichaccess.CreateConfig()
	config.Keys = []string{"phone:correct-horse-battery-staple"}
	config.BrowserLogin = true
	config.LogDenied = false
	handler, err := immichaccess.New(ctx, http.NotFoundHandler(), config, "pictures")
	if err != nil {
		return nil, err
	}
	return httptest.NewServer(handler), nil
}

func startChromium(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := chromedp.NewExecAllocator(ctx, chromedp.ExecPath("chromium"), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	ctx, closeBrowser := chromedp.NewContext(ctx)
	return ctx, func() {
		closeBrowser()
		stop()
	}
}

// photograph opens the page as a small phone does.
func photograph(ctx context.Context, url, scheme string) ([]byte, error) {
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		return nil, err
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(360, 360, chromedp.EmulateScale(2), chromedp.EmulateMobile), chromedp.Navigate(url)); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// render draws an SVG file of the repository on a transparent background.
func render(ctx context.Context, name string, width, height int64) ([]byte, error) {
	transparent := emulation.SetDefaultBackgroundColorOverrideParams{Color: &cdp.RGBA{A: 0.001}} // 0 would be left out, which means opaque
	if _, err := chromedp.Call(ctx, emulation.SetDefaultBackgroundColorOverride, transparent); err != nil {
		return nil, err
	}
	url := "file://" + filepath.Join(harness.RepositoryDir(), name)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(1)), chromedp.Navigate(url)); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}
