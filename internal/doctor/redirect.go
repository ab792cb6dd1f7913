package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// checkRedirect checks what plain HTTP is answered with. The key is never sent there.
func (e *examination) checkRedirect(ctx context.Context) {
	plain, ok := e.plainURL()
	if !ok {
		return
	}
	get := e.askURL(ctx, e.clients.http1, http.MethodGet, plain+"/api/server/ping", nil, nil)
	switch {
	case get.err != nil:
		e.add(Finding{
			ID: "http-closed", Level: Note, Area: areaHTTP,
			Title:  "Plain HTTP is closed",
			Seen:   fmt.Sprintf("%s: %s", plain, get),
			Breaks: "A browser may not find the server if you type the address without https://. It is safe.",
		})
	case !get.isRedirect():
		e.judgeServedPlain(plain, get)
	default:
		e.judgeRedirect(ctx, plain, get)
	}
}

func (e *examination) plainURL() (string, bool) {
	switch {
	case e.HTTPURL != "":
		return strings.TrimRight(e.HTTPURL, "/"), true
	case e.target.isTLS() && e.target.port == "443":
		return target{scheme: "http", host: e.target.host, port: "80"}.origin(), true
	default:
		return "", false
	}
}

func (e *examination) judgeServedPlain(plain string, a *answer) {
	if !a.isPong() && a.status >= http.StatusBadRequest {
		e.passed("http-refused", areaHTTP, fmt.Sprintf("plain HTTP is refused (%d)", a.status))
		return
	}
	e.add(Finding{
		ID: "http-not-redirected", Level: Warning, Area: areaHTTP,
		Title:  "Plain HTTP is served, not redirected to HTTPS",
		Seen:   fmt.Sprintf("%s: %s", plain, a),
		Breaks: "An app set up with http:// sends its password and access key in the clear.",
	})
}

func (e *examination) judgeRedirect(ctx context.Context, plain string, a *answer) {
	location, err := url.Parse(a.header.Get("Location"))
	if err != nil || location.Scheme != "https" || location.Hostname() != e.target.host || location.Path != "/api/server/ping" {
		e.add(Finding{
			ID: "redirect-elsewhere", Level: Warning, Area: areaHTTP,
			Title:  "The redirect from HTTP leads elsewhere",
			Seen:   fmt.Sprintf("%s/api/server/ping: %s", plain, a),
			Breaks: "Typing the address without https:// does not lead to Immich.",
		})
		return
	}
	// After a 301 or 302, clients turn a POST into a GET, so the response to a GET is not enough.
	post := e.askURL(ctx, e.clients.http1, http.MethodPost, plain+"/api/sync/stream", nil, strings.NewReader(""))
	if post.status == http.StatusMovedPermanently || post.status == http.StatusFound || post.status == http.StatusSeeOther {
		e.add(Finding{
			ID: "redirect-method", Level: Warning, Area: areaHTTP,
			Title:  fmt.Sprintf("The redirect from HTTP turns uploads into downloads (%d)", post.status),
			Seen:   fmt.Sprintf("POST %s: %s; 308 keeps the method", plain, statusLine(post.status)),
			Breaks: "An app set up with http:// connects, but its login and uploads fail.",
		})
		return
	}
	e.passed("redirect", "Redirect", fmt.Sprintf("from http:// by %d", a.status))
}
