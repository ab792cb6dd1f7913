package doctor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	mega = int64(1) << 20
	giga = int64(1) << 30
	// largestUpload is about the limit that Immich's documentation recommends.
	largestUpload = 48 * giga
	expectWithin  = 6 * time.Second
	bisections    = 5
	fastEnough    = 4 * time.Second
	areaLimit     = "Upload limit"
)

// announcedSizes are tried from the largest; some proxies use 32 bits, in which 48 GB overflows to 0.
var announcedSizes = []int64{largestUpload, 3 * giga / 2, 120 * mega}

// sentSizes are really sent: Immich reads a JSON body of up to 10 MB before it checks the login.
var sentSizes = []int64{3 * mega / 2, 9 * mega}

// usualLimits are the defaults of proxies, and common settings.
var usualLimits = []int64{
	64 << 10, mega, 2 * mega, 5 * mega, 8 * mega, 10 * mega, 16 * mega, 20 * mega, 32 * mega, 50 * mega, 64 * mega, 100_000_000, 100 * mega,
	128 * mega, 200 * mega, 256 * mega, 500 * mega, 512 * mega, giga, 2 * giga, 4 * giga, 5 * giga, 8 * giga, 10 * giga, 16 * giga, 20 * giga,
	32 * giga, largestUpload,
}

// checkUploadLimit announces uploads with "Expect: 100-continue", and never sends their bodies: the response shows a limit.
// Some proxies only count what arrives, so some megabytes are sent as well.
func (e *examination) checkUploadLimit(ctx context.Context) {
	for _, size := range announcedSizes {
		if a := e.announce(ctx, size); a.status == http.StatusRequestEntityTooLarge {
			e.add(limitFinding(e.announcedLimit(ctx, size), a))
			return
		}
	}
	e.checkSentLimit(ctx)
}

// checkSentLimit first sends a little, enough for nginx's default limit, and more only if the connection is fast.
func (e *examination) checkSentLimit(ctx context.Context) {
	sent := int64(0)
	for _, size := range sentSizes {
		start := time.Now()
		a := e.sendBody(ctx, size)
		switch {
		case arrived(a):
			sent = size
		case a.isLike(e.refusal):
			e.skipped("upload-limit", areaLimit, "uploads do not get as far: "+a.String())
			return
		case isTimeout(a.err):
			e.skipped("upload-limit", areaLimit, fmt.Sprintf("%s took too long to send", sizeText(size)))
			return
		default:
			e.add(limitFinding(e.sentLimit(ctx, size), a))
			return
		}
		if time.Since(start) > fastEnough {
			break
		}
	}
	e.passed("upload-limit", areaLimit, fmt.Sprintf("none seen: %s announced, %s sent", sizeText(largestUpload), sizeText(sent)))
}

// announce sends the head of an upload of that size, and returns the response before the body; none counts as not refused.
func (e *examination) announce(ctx context.Context, size int64) *answer {
	conn, err := e.dial(ctx)
	if err != nil {
		return &answer{err: err}
	}
	defer conn.Close()
	header := uploadHeader(size)
	header.Set("Expect", "100-continue")
	if _, err := conn.Write(e.head("/api/assets", header)); err != nil {
		return &answer{err: err}
	}
	return e.receive(conn, expectWithin)
}

// announcedLimit searches below a size that is refused.
func (e *examination) announcedLimit(ctx context.Context, refused int64) limit {
	return findLimit(refused, func(size int64) bool { return e.announce(ctx, size).status != http.StatusRequestEntityTooLarge })
}

func (e *examination) sentLimit(ctx context.Context, refused int64) limit {
	return findLimit(refused, func(size int64) bool { return arrived(e.sendBody(ctx, size)) })
}

// sendBody uploads that many bytes, as JSON, which Immich reads to its end and then refuses.
func (e *examination) sendBody(ctx context.Context, size int64) *answer {
	const begin, end = `{"doctor":"`, `"}`
	body := bytes.Repeat([]byte("x"), int(size))
	copy(body, begin)
	copy(body[size-int64(len(end)):], end)
	return e.sendRaw(ctx, e.head("/api/assets", http.Header{
		"Content-Type": {jsonType}, "Content-Length": {strconv.FormatInt(size, 10)}, "Connection": {"close"},
	}), body)
}

// arrived reports whether Immich has read a body, and refused it because there is no login.
func arrived(a *answer) bool {
	return a.isImmich() && (a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest)
}

// limit is the largest size that is accepted; exact if one byte more is not.
type limit struct {
	size  int64
	exact bool
}

func (l limit) String() string {
	switch {
	case l.size == 0:
		return sizeText(usualLimits[0])
	case l.exact:
		return sizeText(l.size)
	default:
		return "about " + sizeText(l.size)
	}
}

// findLimit searches first among the usual limits, then checks one of them, then bisects.
func findLimit(refused int64, passes func(size int64) bool) limit {
	candidates := usualLimits[:sort.Search(len(usualLimits), func(i int) bool { return usualLimits[i] >= refused })]
	at := sort.Search(len(candidates), func(i int) bool { return !passes(candidates[i]) })
	if at == 0 {
		return limit{}
	}
	low, high := candidates[at-1], refused
	if at < len(candidates) {
		high = candidates[at]
	}
	if !passes(low + 1) {
		return limit{size: low, exact: true}
	}
	for range bisections {
		if middle := low + (high-low)/2; passes(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return limit{size: low}
}

// limitFinding describes what is too large: photos have some megabytes, a minute of video a few hundred.
func limitFinding(l limit, a *answer) Finding {
	f := Finding{
		ID: "upload-limit", Level: Problem, Area: areaUpload,
		Title: fmt.Sprintf("Uploads over %s are refused", l),
		Seen:  fmt.Sprintf("a larger one: %s", a),
	}
	if strings.Contains(a.message(), "upload is larger than") {
		own := remedies[f.ID][ImmichAccess]
		own.Proxy = string(ImmichAccess)
		f.Fix = &own
	}
	switch {
	case l.size < 20*mega:
		f.Breaks = "Most videos and many photos will not upload from the app."
	case l.size < giga:
		f.Breaks = fmt.Sprintf("Videos over %s will not upload from the app.", l)
	default:
		f.Level = Warning
		f.Breaks = fmt.Sprintf("Long videos, over %s, will not upload.", l)
	}
	if a.status != http.StatusRequestEntityTooLarge {
		f.Seen += "; a firewall that inspects requests (ModSecurity, CrowdSec AppSec) looks like this too"
	}
	return f
}
