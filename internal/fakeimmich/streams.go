package fakeimmich

import (
	"context"
	"crypto/sha1" //nolint:gosec // the checksum Immich uses
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/coder/websocket"
)

const syncLines = 3

// serveEcho is a WebSocket that echoes every message.
func serveEcho(w http.ResponseWriter, r *http.Request) {
	w.Header().Del("Keep-Alive")

	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()

	conn.SetReadLimit(-1)
	for echo(r.Context(), conn) == nil {
		continue
	}
}

func echo(ctx context.Context, conn *websocket.Conn) error {
	kind, message, err := conn.Reader(ctx)
	if err != nil {
		return err
	}

	reply, err := conn.Writer(ctx, kind)
	if err != nil {
		return err
	}

	if _, err := io.Copy(reply, message); err != nil {
		return err
	}

	return reply.Close()
}

// syncStream sends its headers immediately, its first line after the requested delay, and each further line after the gap.
func syncStream(w http.ResponseWriter, r *http.Request) {
	gap, gapErr := queryDuration(r, "gap")
	delay, delayErr := queryDuration(r, "delay")
	if err := errors.Join(gapErr, delayErr); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}

	if discardBody(r) != nil {
		return
	}

	w.Header().Set("Content-Type", "application/jsonlines+json")
	_ = http.NewResponseController(w).Flush()

	if !pause(r.Context(), delay) {
		return
	}

	for line := range syncLines {
		if line > 0 && !pause(r.Context(), gap) {
			return
		}

		_, _ = fmt.Fprintf(w, `{"type":"AssetV1","ack":"AssetV1|%d","data":{}}`+"\n", line+1)
		_ = http.NewResponseController(w).Flush()
	}
}

// slow responds after the given delay.
func slow(w http.ResponseWriter, r *http.Request) {
	delay, err := queryDuration(r, "delay")
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}

	if pause(r.Context(), delay) {
		ping(w, r)
	}
}

// interim sends interim responses before its final one, and trailers after it.
func interim(w http.ResponseWriter, _ *http.Request) {
	const body = "the answer after the interim one\n"

	writeInterim(w, http.StatusEarlyHints, http.Header{"Link": {"</custom.css>; rel=preload; as=style"}})

	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Trailer", "X-Checksum")
	_, _ = io.WriteString(w, body)

	sum := sha1.Sum([]byte(body)) //nolint:gosec // the checksum Immich uses
	w.Header().Set("X-Checksum", hex.EncodeToString(sum[:]))
}

// trailers responds with the trailers of the request.
func trailers(w http.ResponseWriter, r *http.Request) {
	if discardBody(r) == nil {
		writeJSON(w, http.StatusOK, r.Trailer)
	}
}
