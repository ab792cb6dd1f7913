package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	areaLong   = "Long uploads"
	trickleGap = time.Second
)

// checkSlowUpload sends a body slowly: Immich reads JSON to its end before it refuses it. It is tried over HTTP/1.1 and HTTP/2
// in parallel, since the timeouts of proxies differ.
func (e *examination) checkSlowUpload(ctx context.Context) {
	if !e.Slow {
		e.skipped("upload-time", areaLong, fmt.Sprintf("--slow tests how long one may take, in %s", e.SlowFor))
		return
	}
	type result struct {
		version string
		answer  *answer
		took    time.Duration
	}
	versions := []struct {
		name   string
		client *http.Client
	}{{"HTTP/1.1", e.clients.http1}, {"HTTP/2", e.clients.newest}}
	results := make(chan result, len(versions))
	for _, v := range versions {
		go func() {
			start := time.Now()
			a := e.trickle(ctx, v.client)
			results <- result{v.name, a, time.Since(start)}
		}()
	}

	var cut []string
	shortest := e.SlowFor
	for range versions {
		if r := <-results; !arrived(r.answer) {
			cut = append(cut, fmt.Sprintf("over %s after %s: %s", r.version, r.took.Round(time.Second), r.answer))
			shortest = min(shortest, r.took)
		}
	}
	if len(cut) == 0 {
		e.passed("upload-time", areaLong, fmt.Sprintf("an upload may take %s and more", e.SlowFor))
		return
	}
	e.add(Finding{
		ID: "upload-time", Level: Problem, Area: areaUpload,
		Title:  fmt.Sprintf("Uploads are cut after %s, though data still flows", shortest.Round(time.Second)),
		Seen:   strings.Join(cut, "; "),
		Breaks: "Larger videos never arrive over a slow line: the app starts again from the beginning each time.",
	})
}

// trickle sends a piece at intervals until the time is over.
func (e *examination) trickle(ctx context.Context, client *http.Client) *answer {
	ctx, cancel := context.WithTimeout(ctx, e.SlowFor+patient)
	defer cancel()
	reader, writer := io.Pipe()
	defer reader.Close()
	// The pieces are large enough for proxies to forward them.
	piece := strings.Repeat("x", 1000)
	count := int(e.SlowFor / trickleGap)
	go func() {
		_, _ = io.WriteString(writer, `{"doctor":"`)
		for range count {
			select {
			case <-time.After(trickleGap):
			case <-ctx.Done():
			}
			if _, err := io.WriteString(writer, piece); err != nil {
				return
			}
		}
		_, _ = io.WriteString(writer, `"}`)
		_ = writer.Close()
	}()
	length := len(`{"doctor":""}`) + count*len(piece)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.target.origin()+"/api/assets", reader)
	if err != nil {
		return &answer{err: err}
	}
	request.ContentLength = int64(length)
	request.Header = e.withKey(http.Header{"Content-Type": {jsonType}, "User-Agent": {userAgent}})
	response, err := client.Do(request)
	if err != nil {
		return &answer{err: err}
	}
	defer response.Body.Close()
	return e.read(response)
}
