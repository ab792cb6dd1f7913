package answer

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
)

// page looks like the login page. It loads nothing.
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
<p>{{.Advice}}</p>
</main>
</body>
</html>
`))

const pageStyle template.CSS = `
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

// pagePolicy allows the page its own style and an icon.
var pagePolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'; img-src data:; style-src " + sourceHash(string(pageStyle))

func sourceHash(source string) string {
	digest := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'"
}
