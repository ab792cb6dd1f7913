package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const (
	areaImmich = "Immich"
	areaKey    = "Access key"
	pingPath   = "/api/server/ping"
	// gatePath is never among the routes that are public, as a ping may be. It requires a login.
	gatePath = "/api/server/about"
)

// checkImmich finds out whether Immich is at the root, and what the response is without a key.
func (e *examination) checkImmich(ctx context.Context) {
	bare := e.ask(ctx, http.MethodGet, pingPath, nil, "")
	e.refusal = refusalIn(e.ask(ctx, http.MethodGet, gatePath, nil, ""))
	keyed := bare
	if e.mayUseKey() && e.refusal != nil {
		keyed = e.ask(ctx, http.MethodGet, pingPath, e.withKey(nil), "")
	}

	if keyed.isPong() {
		e.judgeBasePath(ctx)
		e.noteVersion(ctx)
		e.passed("immich", areaImmich, "answers"+e.versionText())
		return
	}
	e.failedStep = true
	e.add(e.whyNoPong(ctx, bare, keyed))
}

// refusalIn returns a refusal for a missing key, which does not come from Immich: its own errors have a correlation ID.
func refusalIn(a *answer) *answer {
	if a.err != nil || a.status < 400 || a.status >= 500 || a.hasPassed() {
		return nil
	}
	return a
}

// hasPassed reports whether a request for gatePath has reached Immich, which refuses it in its own way.
func (a *answer) hasPassed() bool {
	return a.err == nil && a.header.Get("X-Immich-Cid") != ""
}

// whyNoPong returns the reason why there is no response to a ping.
func (e *examination) whyNoPong(ctx context.Context, bare, keyed *answer) Finding {
	seen := fmt.Sprintf("GET %s: %s", pingPath, keyed)
	switch {
	case keyed.wantsCertificate():
		return certificateNeeded(keyed)
	case keyed.err != nil:
		return Finding{
			ID: "no-answer", Level: Problem, Area: areaImmich,
			Title: "Requests are not answered", Seen: seen, Breaks: "The app can't reach the server.",
		}
	case isLoginPage(keyed):
		return Finding{
			ID: "login-page", Level: Problem, Area: areaImmich,
			Title:  "A login page is in front of Immich's API",
			Seen:   seen,
			Breaks: "The app can't get past it. Browsers can.",
		}
	case keyed.isRedirect():
		return Finding{
			ID: "redirected", Level: Problem, Area: areaImmich,
			Title:  "Requests of the API are redirected",
			Seen:   seen,
			Breaks: "The app does not follow: it reports that the server is not reachable.",
		}
	case keyed.isUnavailable():
		return Finding{
			ID: "immich-down", Level: Problem, Area: areaImmich,
			Title:  "The proxy does not reach Immich",
			Seen:   seen,
			Breaks: "Nothing works. Immich may still be starting, or the proxy has a wrong address or port for it (2283).",
		}
	case keyed.status == http.StatusTooManyRequests:
		return Finding{
			ID: "locked-out", Level: Problem, Area: areaKey,
			Title:  "Too many requests or wrong keys came from this network",
			Seen:   seen + retryAfter(keyed),
			Breaks: "The app is denied as well, until that time is over.",
		}
	case e.isUnderPath(ctx):
		return subPath(e.target)
	case e.refusal != nil && isDenial(keyed):
		return e.keyFault(bare, keyed, seen)
	default:
		return Finding{
			ID: "not-immich", Level: Problem, Area: areaImmich,
			Title:  "Something other than Immich answers here",
			Seen:   seen,
			Breaks: `The app says that the server is not reachable. Requests to /api have to reach immich-server too, not the web page alone.`,
		}
	}
}

// wantsCertificate reports whether the server refuses clients without a client certificate: in TLS, or by nginx's error page.
func (a *answer) wantsCertificate() bool {
	if a.err != nil {
		return strings.Contains(a.err.Error(), "certificate required")
	}
	return a.status == http.StatusBadRequest && strings.Contains(string(a.body), "SSL certificate")
}

func certificateNeeded(a *answer) Finding {
	return Finding{
		ID: "client-certificate-needed", Level: Problem, Area: areaKey,
		Title:  "A client certificate is needed to go on",
		Seen:   a.String(),
		Breaks: "Nothing, if the phones have it. The doctor has none, and can't test anything further.",
	}
}

// isDenial reports whether a response may mean that a key is missing. A key that is denied with 404 looks like a wrong address,
// so there the message has to ask for one.
func isDenial(a *answer) bool {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusNotFound:
		return a.message() != "" && !strings.HasPrefix(a.message(), "Cannot ")
	}
	return false
}

func (e *examination) keyFault(bare, keyed *answer, seen string) Finding {
	switch {
	case e.Key == "":
		return Finding{
			ID: "key-needed", Level: Problem, Area: areaKey,
			Title:  "An access key is needed to go on",
			Seen:   seen,
			Breaks: "Nothing, if this is your own gateway: give the key with --keyFile, and the test goes on behind it.",
		}
	case !e.mayUseKey():
		return Finding{
			ID: "key-needed", Level: Problem, Area: areaKey,
			Title:  "An access key is needed to go on, and was not sent",
			Seen:   seen,
			Breaks: "First the certificate has to be right. With --insecure the key is sent all the same.",
		}
	default:
		f := Finding{
			ID: "key-refused", Level: Problem, Area: areaKey,
			Title:  "The access key is not accepted",
			Seen:   fmt.Sprintf("GET %s with %s: %s", pingPath, e.KeyHeader, keyed),
			Breaks: "The app is denied. The key is mistyped or has expired, its header has another name, or a proxy in front drops it.",
		}
		if !keyed.isLike(bare) {
			f.Seen += "; without it: " + bare.String()
		}
		return f
	}
}

// isLoginPage recognizes common login proxies by where they redirect to.
func isLoginPage(a *answer) bool {
	if !a.isRedirect() && a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
		return false
	}
	location := a.header.Get("Location")
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return strings.Contains(string(a.body), "cloudflareaccess.com")
	}
	for _, sign := range []string{"cloudflareaccess.com", "/outpost.goauthentik.io", "/oauth2/", "rd=", "/if/flow/", "/login", "/auth", "/sso"} {
		if strings.Contains(u.String(), sign) {
			return true
		}
	}
	return false
}

func retryAfter(a *answer) string {
	if seconds := a.header.Get("Retry-After"); seconds != "" {
		return ", again after " + seconds + " s"
	}
	return ""
}

// judgeBasePath is for an Immich that is at the root although a path was given.
func (e *examination) judgeBasePath(ctx context.Context) {
	if e.target.path == "" {
		return
	}
	if e.isUnderPath(ctx) {
		e.add(subPath(e.target))
		return
	}
	e.add(Finding{
		ID: "path-needless", Level: Note, Area: areaImmich,
		Title:  fmt.Sprintf("Immich is at %s, without %s", e.target.origin(), e.target.path),
		Breaks: "The app needs the address without the path.",
	})
}

func (e *examination) isUnderPath(ctx context.Context) bool {
	return e.target.path != "" && e.ask(ctx, http.MethodGet, e.target.path+pingPath, e.withKey(nil), "").isPong()
}

func subPath(t target) Finding {
	return Finding{
		ID: "sub-path", Level: Problem, Area: areaImmich,
		Title:  "Immich is under a path, " + t.path,
		Seen:   fmt.Sprintf("%s%s answers", t.path, pingPath),
		Breaks: "Its web page asks for /api and /_app at the root, so it stays blank, and shared links do not work. Immich needs its own host name.",
	}
}

func (e *examination) noteVersion(ctx context.Context) {
	a := e.ask(ctx, http.MethodGet, "/api/server/version", e.withKey(nil), "")
	var v struct{ Major, Minor, Patch *int }
	if json.Unmarshal(a.body, &v) == nil && v.Major != nil && v.Minor != nil && v.Patch != nil {
		e.report.Immich = fmt.Sprintf("%d.%d.%d", *v.Major, *v.Minor, *v.Patch)
	}
}

func (e *examination) versionText() string {
	if e.report.Immich == "" {
		return ""
	}
	return ", version " + e.report.Immich
}
