// Command pictures takes the pictures of the login page that README.md shows, in Chromium, and writes them into a directory.
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess"
)

// pictures are the files, by the colour scheme that a browser prefers.
var pictures = map[string]string{"light": "login-page.png", "dark": "login-page-dark.png"}

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

func takePictures(directory string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	gateway, err := startGateway(ctx)
	if err != nil {
		return err
	}
	defer gateway.Close()
	browser, stop := startChromium(ctx)
	defer stop()
	for scheme, name := range pictures {
		picture, err := photograph(browser, gateway.URL, scheme)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(directory, name), picture, 0o644); err != nil { //nolint:gosec // published in the README
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
