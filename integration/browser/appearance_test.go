package browser

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestLoginPageAppearance takes pictures of the pages. To look at them:
//
//	go test ./browser -run LoginPageAppearance -artifacts -outputdir /tmp/pictures
//
// It checks that the page fits the screen, that its controls are large enough for a thumb, and that all text has the contrast that WCAG
// requires.
func TestLoginPageAppearance(t *testing.T) {
	chromium := startBrowser(t)
	s := openSite(t, chromium, "standalone")
	pictures := t.ArtifactDir()
	for name, screen := range map[string]chromedp.Action[chromedp.Void]{
		"desktop": chromedp.EmulateViewport(1280, 800),
		"phone":   chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch),
	} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(name+" "+scheme, func(t *testing.T) {
				b := view{tab: s.open(t), pictures: filepath.Join(pictures, name+" "+scheme)}
				b.setMedia(scheme)
				run(b.tab, screen)
				b.visit(s.origin + firstPage)
				b.check("denied")
				b.typeKey("not-the-key-0123456789")
				b.check("wrong key")
				b.typeKey(familyKey)
				wantImmich(b.tab, s.origin+firstPage)
				b.takePicture("the fake Immich")
				b.visit(s.origin + "/.immichaccess/logout")
				b.check("log out")
				b.navigate(chromedp.Click(chromedp.CSS("form > button")))
				b.check("logged out")
				b.visit(s.origin + "/")
				b.visit(s.origin + "/.immichaccess#" + familyKey)
				b.await("document.querySelector('" + keyField + "').value !== ''")
				b.check("link")
			})
		}
	}
}

// view is a tab whose pictures are written to files that begin with that path.
type view struct {
	*tab
	pictures string
}

// check takes a picture of the page, and checks what a test can check.
func (b view) check(name string) {
	b.t.Helper()
	b.takePicture(name)
	if eval[bool](b.tab, "document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight") {
		b.t.Errorf("%s: the page does not fit", name)
	}
	if small := eval[[]string](b.tab, `[...document.querySelectorAll("input:not([type=hidden]), button")]
		.filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)`); len(small) > 0 {
		b.t.Errorf("%s: small for a thumb: %s", name, small)
	}
	if unlabelled := eval[int](b.tab, `[...document.querySelectorAll("input:not([type=hidden])")].filter((e) => e.labels.length === 0).length`); unlabelled > 0 {
		b.t.Errorf("%s: %d fields have no label", name, unlabelled)
	}
	if texts := eval[[]string](b.tab, lowContrast); len(texts) > 0 {
		b.t.Errorf("%s: too little contrast: %q", name, texts)
	}
}

// lowContrast lists the texts whose contrast with what is behind them is less than 4.5 (WCAG 2.2, 1.4.3).
const lowContrast = `(() => {
	const channels = (colour) => colour.match(/[\d.]+/g).map(Number)
	const light = (colour) => {
		const [r, g, b] = channels(colour).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		return 0.2126 * r + 0.7152 * g + 0.0722 * b
	}
	const background = (e) => {
		const colour = getComputedStyle(e).backgroundColor
		return channels(colour)[3] === 0 ? background(e.parentElement) : colour
	}
	const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
	return [...document.body.querySelectorAll("h1, p, label, button, input:not([type=hidden])")]
		.filter((e) => contrast(light(getComputedStyle(e).color), light(background(e))) < 4.5).map((e) => e.innerText || e.name)
})()`

func (b view) takePicture(name string) {
	b.t.Helper()
	picture := run(b.tab, chromedp.CaptureScreenshot())
	if kind := http.DetectContentType(picture); kind != "image/png" {
		b.t.Errorf("the picture is %s", kind)
	}
	if err := os.WriteFile(b.pictures+", "+name+".png", picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
