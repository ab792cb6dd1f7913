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

// page is what a browser shows in place of Immich. It loads nothing, and logging in works without its script.
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
{{with .Message}}<p id="message" role="alert">{{.}}</p>
{{end}}{{if .Logout}}<p>This browser will ask for the access key again.</p>
<form method="post" action="` + logoutPath + `">
<button>Log out</button>
</form>
{{else if .Advice}}<p>{{.Advice}}</p>
{{else}}<form method="post" action="` + loginPath + `">
<label for="key">The photos behind this page are private. Enter the access key that you were given.</label>
<div class="row">
<input id="key" name="key" type="password" required autofocus autocomplete="current-password" autocapitalize="none" spellcheck="false"
	{{if .Message}}aria-describedby="message"{{end}}>
<button id="show" type="button" aria-label="Show the key" aria-controls="key" hidden>Show</button>
</div>
<input name="to" type="hidden" value="{{.To}}">
<button>Open</button>
</form>
<noscript><p class="note">This browser does not run scripts. If you opened a link that has a key, enter what follows the # in it.</p></noscript>
<template>
<details>
<summary>Use in the Immich app</summary>
<p>In the app, tap the gear on the login screen, or open Settings. Under <b>Advanced&nbsp;→ Custom proxy headers</b>, add this header:</p>
<label for="header-name">Header name</label>
<div class="row"><input id="header-name" value="{{.Header}}" readonly><button type="button" aria-label="Copy the header name">Copy</button></div>
<label for="header-value">Header value</label>
<div class="row"><input id="header-value" readonly><button type="button" aria-label="Copy the header value">Copy</button></div>
<label for="server">Server address</label>
<div class="row"><input id="server" readonly><button type="button" aria-label="Copy the server address">Copy</button></div>
</details>
</template>
<p id="status" role="status"></p>
<script>{{.Script}}</script>
{{end}}</main>
</body>
</html>
`))

// errorStyle is for all pages; pageStyle has that of the forms in addition.
const errorStyle = `
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --text: #1f2430; --line: #b8bfcc; --accent: #3d50b0; --error: #b3261e; }
@media (prefers-color-scheme: dark) {
	:root { --ground: #0f1116; --card: #1a1d25; --text: #e6e8ee; --line: #4a5163; --accent: #aab8ff; --error: #ffb4ab; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground); color: var(--text);
	font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 24rem; padding: 1.5rem; border-radius: 1rem; background: var(--card); box-shadow: 0 1px 3px #0003; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.2; }
p { margin: 0 0 1rem; }
[role=alert] { color: var(--error); font-weight: 600; }
`

const pageStyle = errorStyle + `label { display: block; margin-bottom: 1rem; }
input, button, summary { padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .5rem; background: transparent; color: inherit; font: inherit; }
button, summary { color: var(--accent); font-weight: 600; cursor: pointer; }
form > button { width: 100%; border-color: var(--accent); background: var(--accent); color: var(--card); }
.row { display: flex; gap: .5rem; margin-bottom: 1rem; }
.row input { flex: 1; width: 100%; min-width: 0; padding: .75rem; }
.row button { min-width: 5.5rem; padding: .75rem .5rem; }
.note { margin: 1rem 0 0; }
details { margin-top: 1rem; }
summary { list-style: none; text-align: center; }
summary::-webkit-details-marker { display: none; }
details p { margin-top: 1rem; }
details label { margin-bottom: .25rem; }
details .row:last-child { margin-bottom: 0; }
[role=status] { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`

// pageScript shows what was typed, and offers what to do with the key of a link such as
// https://photos.example.com/.immichaccess#KEY. Browsers do not send what follows the #, so it is in no log; the script also
// removes it from the address bar and the history.
//
// A page that answers a form gets the address of the page that was asked for first: a reload, or going back, then asks for
// that one, and neither sends the wrong key again nor shows its message.
const pageScript = `
var byID = document.getElementById.bind(document);
var key = byID("key"), form = key.form, show = byID("show"), submit = form.lastElementChild, loginPath = form.getAttribute("action");

function say(text) { byID("status").textContent = text; }

function reveal(shown) {
	key.type = shown ? "text" : "password";
	show.textContent = shown ? "Hide" : "Show";
	show.setAttribute("aria-label", show.textContent + " the key");
}

function copy(button) {
	var field = button.previousElementSibling, name = document.querySelector("label[for=" + field.id + "]").textContent;
	function end(text, message) {
		document.querySelectorAll("details button").forEach(function (other) { other.textContent = "Copy"; });
		button.textContent = text;
		say(name + message);
	}
	function copySelection() {
		field.select();
		if (document.execCommand("copy")) end("Copied", " copied");
		else end("Selected", " can't be copied by the page; it is selected, so copy it yourself");
	}
	if (!navigator.clipboard) return copySelection();
	navigator.clipboard.writeText(field.value).then(function () { end("Copied", " copied"); }, copySelection);
}

function offer(secret) {
	key.value = secret;
	form.querySelector("label").textContent = "This link has an access key to private photos. Use it here, or in the app, or both.";
	submit.textContent = "Open in this browser";
	submit.focus();
	if (!document.querySelector("details")) {
		byID("status").before(document.querySelector("template").content.cloneNode(true));
		document.querySelectorAll("details button").forEach(function (button) {
			button.onclick = function () { copy(button); };
		});
	}
	byID("header-value").value = secret;
	byID("server").value = location.origin;
}

function takeLink() {
	var secret = location.hash.slice(1);
	try { secret = decodeURIComponent(secret); } catch (e) {}
	if (!secret || location.pathname !== loginPath) return;
	history.replaceState(null, "", location.pathname + location.search);
	offer(secret);
}

show.hidden = false;
show.onclick = function () {
	reveal(key.type === "password");
	say(key.type === "text" ? "The key is shown" : "The key is hidden");
};
form.onsubmit = function () { reveal(false); };
addEventListener("pageshow", function (event) { if (event.persisted) location.reload(); });
addEventListener("hashchange", takeLink);
if (byID("message") && location.pathname === loginPath) history.replaceState(null, "", form.elements.to.value);
takeLink();
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

// loginPage and logoutPage return the content of the page. The header is the one that carries the key.
func loginPage(header, message, to string) map[string]any {
	return map[string]any{"Title": "Access key", "Header": header, "Message": message, "To": to}
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
