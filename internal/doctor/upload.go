package doctor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	areaUpload  = "Uploads"
	earlyBody   = 512 << 10 // under every usual limit
	earlyFirst  = 64 << 10  // more than a proxy accepts without buffering
	earlyWithin = 4 * time.Second
	flowGap     = 50 * time.Millisecond
	flowPiece   = 1 << 10
	paces       = 14
	paceGap     = 100 * time.Millisecond
)

// checkEarlyAnswer begins an upload and waits for the 401 that Immich sends before it has the body. If it comes only after the
// body, a proxy buffers uploads.
func (e *examination) checkEarlyAnswer(ctx context.Context) {
	a, early := e.answerBeforeBody(ctx)
	switch {
	case a.err != nil || !a.isImmich():
		// Whether an upload arrives at all has its own test.
		e.skipped("early-answer-untested", areaUpload, "an upload is answered otherwise: "+a.String())
		return
	case !early && a.status == http.StatusUnauthorized:
		e.add(Finding{
			ID: "upload-buffered", Level: Warning, Area: areaUpload,
			Title:  "The proxy buffers uploads before it forwards them",
			Seen:   "Immich's answer, which it sends immediately, came after the last byte",
			Breaks: "Each upload needs room on the proxy's disk and arrives late, large ones time out at 100 %, and duplicates are sent whole.",
		})
		return
	case !early:
		e.skipped("early-answer-untested", areaUpload, "Immich does not ask for a login: "+a.String())
		return
	}
	if err := e.sendOnAfterAnswer(ctx); err != nil {
		e.add(Finding{
			ID: "early-answer-cut", Level: Note, Area: areaUpload,
			Title:  "The proxy closes the connection when Immich answers before the end of an upload",
			Seen:   "sending on: " + inWords(err),
			Breaks: `A duplicate may end as "broken pipe" in the app, which then tries again. HTTP/2 does not have this.`,
		})
		return
	}
	e.passed("early-answer", "Early answer", "Immich's early answer arrives during the upload")
}

func uploadHeader(length int64) http.Header {
	return http.Header{"Content-Type": {formType}, "Content-Length": {strconv.FormatInt(length, 10)}}
}

// answerBeforeBody keeps sending a little of the body until there is a response, since a proxy written in Go forwards none
// while it waits for more of the body. It sends the rest only if no response comes before.
func (e *examination) answerBeforeBody(ctx context.Context) (a *answer, early bool) {
	conn, err := e.beginUpload(ctx)
	if err != nil {
		return &answer{err: err}, false
	}
	defer conn.Close()
	answered := make(chan *answer, 1)
	go func() { answered <- e.receive(conn, earlyWithin+patient) }()

	rest := make([]byte, earlyBody-earlyFirst)
	for range int(earlyWithin / flowGap) {
		select {
		case a := <-answered:
			return a, true
		case <-time.After(flowGap):
		}
		if _, err := conn.Write(rest[:flowPiece]); err != nil {
			return <-answered, true // the connection has failed, perhaps after a response
		}
		rest = rest[flowPiece:]
	}
	_, _ = conn.Write(rest) // a response says more than this error
	return <-answered, false
}

func (e *examination) beginUpload(ctx context.Context) (net.Conn, error) {
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(e.head("/api/assets", uploadHeader(earlyBody)), make([]byte, earlyFirst)...)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// sendOnAfterAnswer is a client that reads no response before it has sent everything, as some phones do.
func (e *examination) sendOnAfterAnswer(ctx context.Context) error {
	conn, err := e.beginUpload(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	piece := make([]byte, (earlyBody-earlyFirst)/paces)
	for range paces {
		time.Sleep(paceGap)
		if _, err := conn.Write(piece); err != nil {
			return err
		}
	}
	return e.receive(conn, patient).err
}

// sizeText uses common units: 104857600 is 100 MB.
func sizeText(bytes int64) string {
	const unit = 1024
	value, suffix := float64(bytes), "bytes"
	for _, next := range []string{"KB", "MB", "GB"} {
		if value < unit {
			break
		}
		value, suffix = value/unit, next
	}
	return fmt.Sprintf("%s %s", strconv.FormatFloat(value, 'f', decimals(value), 64), suffix)
}

func decimals(value float64) int {
	if value == float64(int64(value)) || value >= 100 {
		return 0
	}
	return 1
}
