package doctor

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	areaLinks  = "Shared links"
	areaScheme = "Scheme"
	noLink     = "immichaccess-doctor" // names no link
)

// linkRequests are the first requests of a shared link's page.
var linkRequests = []struct {
	name, path string
	isOpen     func(*answer) bool
}{
	{"the page", "/share/" + noLink, func(a *answer) bool { return a.isHTML() && a.status != http.StatusForbidden }},
	{"its scripts", "/_app/version.json", func(a *answer) bool { return a.status == http.StatusOK || a.status == http.StatusNotFound }},
	{"the API", "/api/shared-links/me?key=" + noLink, (*answer).isImmich},
}

// checkLinks checks whether shared links work without a key: all of their requests, some, or none.
func (e *examination) checkLinks(ctx context.Context) {
	e.checkLinkPreview(ctx)
	if e.refusal == nil {
		return
	}
	var open, shut []string
	for _, r := range linkRequests {
		a := e.ask(ctx, http.MethodGet, r.path, http.Header{"Accept": {"text/html"}}, "")
		if a.hasPassed() || a.status != e.refusal.status && r.isOpen(a) {
			open = append(open, r.name)
		} else {
			shut = append(shut, r.name)
		}
	}
	switch {
	case len(shut) == 0:
		e.passed("links", areaLinks, "open without a key")
	case len(open) == 0:
		e.add(Finding{
			ID: "links-closed", Level: Note, Area: areaLinks,
			Title:  "Shared links open only with the key",
			Seen:   fmt.Sprintf("GET /share/… without it: %d", e.refusal.status),
			Breaks: "Friends without the key can't open them. That may be what you want.",
		})
	default:
		e.add(Finding{
			ID: "links-half-open", Level: Problem, Area: areaLinks,
			Title:  "Shared links open in part",
			Seen:   fmt.Sprintf("without a key: open %s; shut %s", strings.Join(open, ", "), strings.Join(shut, ", ")),
			Breaks: "They stay blank, or show an error.",
		})
	}
}

var previewImage = regexp.MustCompile(`property="og:image" content="([^"]+)"`)

// checkLinkPreview reads from a link's preview which address Immich takes for its own. It is the only place where Immich shows
// that to clients without a login.
func (e *examination) checkLinkPreview(ctx context.Context) {
	if e.Link == "" {
		e.skipped("preview", areaScheme, "--link=URL, a shared link of yours, tests what Immich sees")
		return
	}
	link, err := url.Parse(e.Link)
	if err != nil {
		return // was checked
	}
	a := e.ask(ctx, http.MethodGet, link.RequestURI(), e.withKey(http.Header{"Accept": {"text/html"}}), "")
	found := previewImage.FindSubmatch(a.body)
	if found == nil {
		e.skipped("preview", areaScheme, "the link has no preview: "+a.String())
		return
	}
	image, err := url.Parse(html.UnescapeString(string(found[1])))
	if err != nil || image.Host == "" {
		e.skipped("preview", areaScheme, "the preview has no address")
		return
	}
	e.judgePreview(image)
}

func (e *examination) judgePreview(image *url.URL) {
	seen := fmt.Sprintf("a shared link's preview is at %s://%s", image.Scheme, image.Host)
	switch {
	case image.Hostname() != e.target.host:
		e.add(Finding{
			ID: "host-lost", Level: Warning, Area: areaLinks,
			Title:  "Immich does not see the requested host name",
			Seen:   seen,
			Breaks: "Previews of shared links in messengers have no picture, and OAuth may return to a wrong address.",
		})
	case image.Scheme != e.target.scheme:
		e.add(Finding{
			ID: "scheme-lost", Level: Warning, Area: areaLinks,
			Title:  "Immich sees the wrong scheme, " + image.Scheme,
			Seen:   seen,
			Breaks: "The login cookie is not marked Secure, previews of shared links have no picture, and OAuth may fail.",
		})
	default:
		e.passed("preview", areaScheme, "Immich sees the right host name and scheme")
	}
}
