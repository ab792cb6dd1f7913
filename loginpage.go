package immichaccess

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"time"
)

// page is shown instead of Immich. It works without its script, which only fills in the key of a link, and it loads nothing.
var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Title}}</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ctext y='13' font-size='13'%3E🔑%3C/text%3E%3C/svg%3E">
<style>{{.Style}}</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Message}}<p role="alert">{{.}}</p>
{{end}}{{if .Logout}}<p>This browser will ask for the access key again.</p>
<form method="post" action="` + logoutPath + `">
<button>Log out</button>
</form>
{{else if .Advice}}<p>{{.Advice}}</p>
{{else}}<form method="post" action="` + loginPath + `">
<label for="key">The photos behind this page are private. Enter the access key that you were given.</label>
<input id="key" name="key" type="password" required autofocus autocomplete="current-password" autocapitalize="none" spellcheck="false">
<input name="to" type="hidden" value="{{.To}}">
<button>Open</button>
</form>
<script>{{.Script}}</script>
{{end}}</main>
</body>
</html>
`))

// errorStyle is for all pages; pageStyle has that of the forms in addition.
const errorStyle = `
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --text: #1f2430; --line: #b8bfcc; --accent: #3d50b0; --alarm: #b3261e; }
@media (prefers-color-scheme: dark) {
	:root { --ground: #0f1116; --card: #1a1d25; --text: #e6e8ee; --line: #4a5163; --accent: #aab8ff; --alarm: #ffb4ab; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground); color: var(--text);
	font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 24rem; padding: 2rem; border-radius: 1rem; background: var(--card); box-shadow: 0 1px 3px #0003; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.2; }
p { margin: 0 0 1rem; }
[role=alert] { color: var(--alarm); font-weight: 600; }
`

const pageStyle = errorStyle + `label { display: block; margin-bottom: 1rem; }
input, button { width: 100%; padding: .75rem 1rem; border-radius: .5rem; font: inherit; }
input { border: 1px solid var(--line); background: transparent; color: inherit; }
button { margin-top: 1rem; border: 0; background: var(--accent); color: var(--card); font-weight: 600; cursor: pointer; }
form > button:first-child { margin-top: 0; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`

// pageScript fills in the key of a link such as https://photos.example.com/.immichaccess#KEY. Browsers keep what follows the
// # to themselves, so no log has it; here it is also removed from the address bar and the history.
const pageScript = `
function fill() {
	var key = location.hash.slice(1);
	try { key = decodeURIComponent(key); } catch (e) {}
	if (!key) return;
	document.getElementById("key").value = key;
	history.replaceState(null, "", location.pathname + location.search);
}
addEventListener("hashchange", fill);
fill();
`

// pagePolicy allows the page its own style and script, an icon, and a form to this host.
var pagePolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; img-src data:; " +
	"style-src " + sourceHash(pageStyle) + "; script-src " + sourceHash(pageScript)

// errorPolicy is for a page without form or script.
var errorPolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'; img-src data:; style-src " + sourceHash(errorStyle)

func sourceHash(source string) string {
	digest := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
}

// loginPage and logoutPage return the content of the page.
func loginPage(message, to string) map[string]any {
	return map[string]any{"Title": "Access key", "Message": message, "To": to}
}

func logoutPage() map[string]any {
	return map[string]any{"Title": "Log out", "Logout": true}
}

// errorPage returns the content of a page that says what is wrong and what to do.
func errorPage(title, advice string) map[string]any {
	return map[string]any{"Title": title, "Advice": advice}
}

// explain returns why a request was denied, for the login page.
func explain(denied *denial) string {
	switch {
	case denied.wait > 0:
		return tooManyKeys + ". " + tryAgain(denied)
	case denied.reason == sessionEnded:
		return "This browser's access has ended. Enter the access key again."
	case denied.wrong:
		return "Wrong key. Check it and try again."
	case denied.reason == expiredKey:
		return "This key has expired."
	case denied.certificate:
		return "This browser's certificate was rejected: " + denied.reason + "."
	case denied.key != "":
		return "This key does not allow that."
	}
	return ""
}

const tooManyKeys = "Too many wrong keys"

func tryAgain(denied *denial) string {
	return "Try again in " + inMinutes(denied.wait) + "."
}

func inMinutes(d time.Duration) string {
	if d <= time.Minute {
		return "a minute"
	}
	return fmt.Sprintf("%.0f minutes", math.Ceil(d.Minutes()))
}

func writePage(w http.ResponseWriter, r *http.Request, status int, content map[string]any) {
	style, policy := pageStyle, pagePolicy
	if content["Advice"] != nil {
		style, policy = errorStyle, errorPolicy
	}
	content["Style"], content["Script"] = template.CSS(style), template.JS(pageScript) //nolint:gosec // constants
	var body bytes.Buffer
	if err := page.Execute(&body, content); err != nil {
		writeError(w, r, http.StatusInternalServerError, "The page can't be shown")
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers hide the origin of the form
	writeAnswer(w, r, status, "text/html; charset=utf-8", body.Bytes())
}
