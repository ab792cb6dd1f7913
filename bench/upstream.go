package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// upstream answers requests as cheaply as net/http can. It is part of this process, so its processor time does not count as the
// proxy's.
type upstream struct {
	*http.Server

	address string
}

func startUpstream(answer int) (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	small, piece := bytes.Repeat([]byte("x"), answer), bytes.Repeat([]byte("x"), 256<<10)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/assets/1/thumbnail", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "image/webp")
		h.Set("Content-Length", strconv.Itoa(len(small)))
		h.Set("Cache-Control", "private, max-age=86400, no-transform")
		_, _ = w.Write(small)
	})
	mux.HandleFunc("GET /api/assets/1/original", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		for size > 0 {
			n, err := w.Write(piece[:min(int64(len(piece)), size)])
			if err != nil {
				return
			}
			size -= int64(n)
		}
	})
	mux.HandleFunc("POST /api/assets", func(_ http.ResponseWriter, r *http.Request) {
		buffer := make([]byte, 256<<10)
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buffer)
	})
	mux.HandleFunc("GET "+socketPath, acceptSocket)
	u := &upstream{&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}, l.Addr().String()}
	go func() { _ = u.Serve(l) }()
	return u, nil
}

const socketPath = "/api/socket.io/"

// acceptSocket accepts a WebSocket on which nothing is said.
func acceptSocket(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = conn.Read(make([]byte, 1))
}
