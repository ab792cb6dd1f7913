// Package loginpage follows an access key from the command that makes it to the phone that uses it: the QR code of its link, and the login
// page in a real browser, with the standalone proxy.
package loginpage

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/integration/chromium"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	message   = "document.querySelector('[role=alert]')?.innerText"
	keyType   = "key.type"
	firstPage = "/photos?at=1&q=a%20b"
	wrongKey  = "not-the-key-0123456789"
)

// site is a standalone proxy, and a key that was made for it.
type site struct {
	chromium context.Context
	process  *harness.Process
	origin   string
	link     string // as read from the QR code
	secret   string
}

func startSite(t *testing.T) site {
	t.Helper()
	immich := fakeimmich.New()
	upstream := httptest.NewUnstartedServer(immich)
	upstream.Config = immich.HTTPServer()
	upstream.Start()
	t.Cleanup(upstream.Close)

	address := harness.FreeAddress(t)
	host := "photos.example.com:" + address[strings.LastIndexByte(address, ':')+1:]
	made := makeKey(t, host)
	s := site{chromium: chromium.Start(t, "ignore-certificate-errors", true), origin: "https://" + host, link: decode(t, made)}
	_, s.secret, _ = strings.Cut(s.link, "#")
	s.process = harness.Start(t, harness.Binary(t), "--upstreams="+upstream.URL, "--listen.https="+address, "--listen.http=", "--log.access=true",
		"--access.browserLogin=true", "--access.maxWrongKeys=0", regexp.MustCompile(`--access\.keys=\S+`).FindString(made))
	harness.Await(t, "the proxy", func() bool { return strings.Contains(s.process.Log.String(), "listening") })
	return s
}

// TestLoginPage uses the page as a user does, on a phone.
func TestLoginPage(t *testing.T) {
	s := startSite(t)
	for name, scenario := range map[string]func(*testing.T, site){
		"link, for the browser":       linkForBrowser,
		"link, for the app":           linkForApp,
		"link in an open page":        linkInOpenPage,
		"link after a wrong key":      linkAfterWrongKey,
		"link without scripts":        linkWithoutScripts,
		"no link on other pages":      fragmentOfAnotherPage,
		"show what was typed":         showTyped,
		"typed in lower case":         typedInLowerCase,
		"reload after a wrong key":    reloadAfterWrongKey,
		"go back after a wrong key":   goBackAfterWrongKey,
		"go back to the link's page":  goBackToLink,
		"another header":              anotherHeader,
		"copying without encryption":  copyWithoutEncryption,
		"copying is refused":          copyingIsRefused,
		"keyboard and screen readers": accessibility,
	} {
		t.Run(name, func(t *testing.T) { scenario(t, s) })
	}
	if strings.Contains(s.process.Log.String(), s.secret) {
		t.Error("the key is in the proxy's log")
	}
}

func linkForBrowser(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	if status := b.visit(s.link); status != http.StatusOK {
		t.Errorf("the link: status %d", status)
	}
	b.want("key.value", s.secret)
	b.want("location.href", s.origin+"/.immichaccess")
	b.want(keyType, "password")
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("the key: status %d", status)
	}
	b.want("location.href", s.origin+"/")
	b.want("document.getElementById('api').value", "API answers")
	b.wantSecretHidden(s.secret)
}

func linkForApp(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.link)
	if text := eval[string](b, "document.body.innerText"); strings.Contains(text, "Header name") || strings.Contains(text, s.secret) {
		t.Errorf("before it is opened, the page shows\n%s", text)
	}
	b.click("summary")
	if text := eval[string](b, "document.body.innerText"); !strings.Contains(text, "Advanced\u00a0→ Custom proxy headers") {
		t.Errorf("the page shows\n%s", text)
	}
	b.wantCopies(map[string]string{"Header name": "X-Access-Key", "Header value": s.secret, "Server address": s.origin})
	b.wantSecretHidden(s.secret)
}

// wantCopies presses the buttons that belong to the labels, and wants the texts on the clipboard.
func (b *tab) wantCopies(texts map[string]string) {
	b.t.Helper()
	for label, want := range texts {
		field := eval[string](b, `[...document.querySelectorAll("details label")].find((l) => l.textContent === "`+label+`").htmlFor`)
		b.want("document.getElementById('"+field+"').value", want)
		b.click("#" + field + " + button")
		b.want("document.querySelector('[role=status]').innerText", label+" copied")
		b.want(`[...document.querySelectorAll("details button")].filter((b) => b.innerText === "Copied").length`, "1")
		b.want("document.querySelector('#"+field+" + button').innerText", "Copied")
		if got := b.clipboard(); got != want {
			b.t.Errorf("%s: copied is %q, want %q", label, got, want)
		}
	}
}

func linkInOpenPage(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.origin + "/.immichaccess")
	eval[any](b, "location.hash = 'first%2Bkey', null")
	b.want("key.value", "first+key")
	eval[any](b, "location.hash = '"+s.secret+"', null")
	b.want("key.value", s.secret)
	b.want("document.querySelectorAll('details').length", "1")
	b.want("document.getElementById('header-value').value", s.secret)
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func linkAfterWrongKey(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.origin + "/.immichaccess")
	b.enter(wrongKey)
	b.submit()
	b.want(message, "Wrong key. Check it and try again.")
	b.visit(s.link)
	b.want("key.value", s.secret)
	b.want(message, "undefined")
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

// Without scripts, the page can't use the key of a link, and says so.
func linkWithoutScripts(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.visit(s.link)
	if text := run(b, chromedp.Text(chromedp.CSS("noscript"))); !strings.Contains(text, "enter what follows the #") {
		t.Errorf("the page says %q", text)
	}
	if box := run(b, chromedp.Dimensions(chromedp.CSS("noscript p"))); box.Height == 0 {
		t.Error("what it says can't be seen")
	}
	run(b, chromedp.WaitNotVisible(chromedp.CSS("#show"))) // which would do nothing
	b.enter(wrongKey)
	if status := b.submit(); status != http.StatusForbidden {
		t.Errorf("a wrong key: status %d", status)
	}
	b.enter(strings.ToLower(s.secret))
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("the key: status %d", status)
	}
}

// What follows the # of one of Immich's pages is not a key.
func fragmentOfAnotherPage(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.origin + firstPage + "#top")
	b.want("document.readyState", "complete")
	b.want("key.value", "")
	b.want("location.hash", "#top")
	b.want("document.querySelectorAll('details').length", "0")
}

func showTyped(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.origin + firstPage)
	b.enter(s.secret)
	b.want(keyType, "password")
	for range 2 {
		b.click("#show")
		b.want(keyType, "text")
		b.want("show.innerText + ', ' + show.getAttribute('aria-label')", "Hide, Hide the key")
		b.want("document.querySelector('[role=status]').innerText", "The key is shown")
		b.click("#show")
		b.want(keyType, "password")
		b.want("show.innerText + ', ' + show.getAttribute('aria-label')", "Show, Show the key")
		b.want("document.querySelector('[role=status]').innerText", "The key is hidden")
	}
	b.want("key.value", s.secret)
	b.click("#show")
	// Browsers store what is sent from a text field, and suggest it later.
	eval[any](b, "form.addEventListener('submit', () => sessionStorage.setItem('type', key.type)), null")
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	b.want("location.href", s.origin+firstPage)
	b.want("sessionStorage.getItem('type')", "password")
}

func typedInLowerCase(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.origin + firstPage)
	typed := strings.ToLower(s.secret)
	b.enter(typed[:8] + " " + typed[8:16] + "-" + typed[16:])
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	b.want("location.href", s.origin+firstPage)
}

func reloadAfterWrongKey(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.origin + firstPage)
	b.enter(wrongKey)
	if status := b.submit(); status != http.StatusForbidden {
		t.Errorf("a wrong key: status %d", status)
	}
	b.want(message, "Wrong key. Check it and try again.")
	b.navigate(chromedp.Reload())
	if last := b.lastRequest(); last != "GET "+s.origin+firstPage {
		t.Errorf("a reload sends %s", last)
	}
	b.want(message, "undefined")
	b.enter(s.secret)
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("the key: status %d", status)
	}
	b.want("location.href", s.origin+firstPage)
}

func goBackAfterWrongKey(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.origin + firstPage)
	b.enter(wrongKey)
	b.submit()
	b.enter(s.secret)
	b.submit()
	b.want("location.href", s.origin+firstPage)
	run(b, chromedp.NavigateBack())
	b.want("document.getElementById('api')?.value", "API answers")
	b.want("location.href", s.origin+firstPage)
}

// After going back from Immich, the page of the link is shown without the key.
func goBackToLink(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.link)
	b.want("key.value", s.secret)
	b.submit()
	b.want("location.href", s.origin+"/")
	run(b, chromedp.NavigateBack())
	b.want("location.href", s.origin+"/.immichaccess")
	b.want("key.value", "")
	b.want("document.querySelectorAll('details').length", "0")
}

// startHandler serves the handler itself over plain HTTP, where browsers offer no clipboard to scripts.
func startHandler(t *testing.T, configure func(*immichaccess.Config)) (origin string) {
	t.Helper()
	config := immichaccess.CreateConfig()
	config.Keys = []string{"phone:correct-horse-battery-staple"}
	config.BrowserLogin = true
	config.LogDenied = false
	configure(config)
	handler, err := immichaccess.New(t.Context(), http.NotFoundHandler(), config, "loginpage")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return "http://photos.example.com" + server.URL[strings.LastIndexByte(server.URL, ':'):]
}

func anotherHeader(t *testing.T, s site) {
	origin := startHandler(t, func(c *immichaccess.Config) { c.KeyHeader = "x-family-key" })
	b := open(s.chromium, t, phone)
	b.visit(origin + "/.immichaccess#correct-horse")
	b.want("document.getElementById('header-name').value", "X-Family-Key")
}

func copyWithoutEncryption(t *testing.T, s site) {
	origin := startHandler(t, func(*immichaccess.Config) {})
	b := open(s.chromium, t, phone)
	b.visit(origin + "/.immichaccess#correct-horse-battery-staple")
	b.want("typeof navigator.clipboard", "undefined")
	b.click("summary")
	b.wantCopies(map[string]string{"Header name": "X-Access-Key", "Header value": "correct-horse-battery-staple", "Server address": origin})
}

// Where a browser does not let the page copy, it selects the text for the user to copy.
func copyingIsRefused(t *testing.T, s site) {
	b := open(s.chromium, t, phone)
	b.visit(s.link)
	b.click("summary")
	eval[any](b, "navigator.clipboard.writeText = () => Promise.reject(new Error('denied')), document.execCommand = () => false, null")
	b.click("#header-value + button")
	b.want("document.querySelector('#header-value + button').innerText", "Selected")
	b.want("getSelection().toString()", s.secret)
	if text := eval[string](b, "document.querySelector('[role=status]').innerText"); !strings.HasPrefix(text, "Header value can't be copied") {
		t.Errorf("the page says %q", text)
	}
}

// accessibility uses the page with the keyboard alone, and checks what screen readers get.
func accessibility(t *testing.T, s site) {
	b := open(s.chromium, t, screen{1280, 800, "light", true})
	b.visit(s.origin + firstPage)
	b.want("document.activeElement.id", "key")
	run(b, chromedp.KeyEvent(wrongKey+"\r"))
	b.want(message, "Wrong key. Check it and try again.")
	b.want("document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText", "Wrong key. Check it and try again.")
	b.visit(s.link)
	b.want("document.activeElement.innerText", "Open in this browser")
	run(b, chromedp.KeyEvent("\t"))
	b.want("document.activeElement.innerText", "Use in the Immich app")
	run(b, chromedp.KeyEvent("\r\t\t"))
	b.want("document.activeElement.getAttribute('aria-label')", "Copy the header name")
	run(b, chromedp.KeyEvent("\r"))
	b.want("document.querySelector('[role=status]').innerText", "Header name copied")
}

// TestAppearance takes pictures of the page in each of its states. To look at them:
//
//	go test ./loginpage -run Appearance -artifacts -outputdir /tmp/pictures
func TestAppearance(t *testing.T) {
	s := startSite(t)
	directory := t.ArtifactDir()
	for name, screen := range map[string]screen{
		"phone light":   phone,
		"phone dark":    {390, 844, "dark", false},
		"small light":   {320, 568, "light", false},
		"desktop light": {1280, 800, "light", true},
		"desktop dark":  {1280, 800, "dark", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(s.chromium, t, screen)
			picture := func(state string) string { return filepath.Join(directory, name+", "+state) }
			b.visit(s.origin + firstPage)
			b.check(picture("denied"))
			b.enter(wrongKey)
			b.click("#show")
			b.check(picture("shown"))
			b.submit()
			b.check(picture("wrong key"))
			b.visit(s.link)
			b.check(picture("link"))
			b.click("summary")
			b.click("#header-name + button")
			b.want("document.querySelector('#header-name + button').innerText", "Copied")
			b.check(picture("link, for the app"))
			b.visit(s.origin + "/.immichaccess/logout")
			b.check(picture("log out"))
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			b.visit(s.link)
			b.takePicture(picture("no scripts"))
		})
	}
}
