package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

const (
	areaMedia = "Media"
	// picturePath is a picture of Immich's web page, the only media that needs no login. Like photos and videos, it is served with
	// ranges, and not compressed.
	picturePath = "/apple-icon-180.png"
	rangeAsked  = 100
)

// checkMedia requests a part of a picture, as players do of a video, and all of it, accepting compression.
func (e *examination) checkMedia(ctx context.Context) {
	whole := e.ask(ctx, http.MethodGet, picturePath, e.withKey(http.Header{"Accept-Encoding": {"gzip, br, zstd, deflate"}}), "")
	if whole.status != http.StatusOK || whole.isHTML() {
		e.skipped("media-untested", areaMedia, "there is no picture to try: "+whole.String())
		return
	}
	part := e.ask(ctx, http.MethodGet, picturePath, e.withKey(http.Header{
		"Accept-Encoding": {"identity"}, "Range": {fmt.Sprintf("bytes=0-%d", rangeAsked-1)},
	}), "")
	faults := 0
	if part.status != http.StatusPartialContent || len(part.body) != rangeAsked || !strings.HasPrefix(part.header.Get("Content-Range"), "bytes 0-") {
		faults++
		e.add(Finding{
			ID: "range-ignored", Level: Problem, Area: areaMedia,
			Title:  "Range requests do not work",
			Seen:   fmt.Sprintf("GET with Range: %s, %d bytes, instead of 206 and %d", part, len(part.body), rangeAsked),
			Breaks: "Videos do not play on iPhones and in Safari, and can't be skipped through elsewhere.",
		})
	}
	if encoding := whole.header.Get("Content-Encoding"); encoding != "" {
		faults++
		e.add(Finding{
			ID: "media-compressed", Level: Warning, Area: areaMedia,
			Title:  "Pictures are compressed again",
			Seen:   "Content-Encoding: " + encoding + " on a PNG",
			Breaks: "It makes nothing smaller, costs processor time for each picture and video, and breaks range requests of videos.",
		})
	}
	if faults == 0 {
		e.passed("media", areaMedia, "range requests work, pictures are not compressed again")
	}
}
