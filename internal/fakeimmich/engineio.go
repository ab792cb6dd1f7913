package fakeimmich

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	pingInterval = 25 * time.Second // as Immich announces it
	openPacket   = `0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	joinedPacket = `40{"sid":"wZX3oN0bSVIhsaknAAAC"}`
)

// engineIO begins as Immich's socket.io does. The rest begins when the client asks to join.
func engineIO(rest func(context.Context, *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Del("Keep-Alive")

		if r.URL.Query().Get("transport") != "websocket" {
			writeJSON(w, http.StatusBadRequest, map[string]any{"code": 0, "message": "Transport unknown"})
			return
		}
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			writeJSON(w, http.StatusBadRequest, map[string]any{"code": 3, "message": "Bad request"})
			return
		}

		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()

		if join(r.Context(), conn) {
			rest(r.Context(), conn)
		}
	}
}

func join(ctx context.Context, conn *websocket.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	if !sendPackets(ctx, conn, openPacket) {
		return false
	}

	_, message, err := conn.Read(ctx)
	return err == nil && string(message) == "40"
}

func sendPackets(ctx context.Context, conn *websocket.Conn, packets ...string) bool {
	for _, packet := range packets {
		if conn.Write(ctx, websocket.MessageText, []byte(packet)) != nil {
			return false
		}
	}

	return true
}

// refuseSocket closes the connection of a client without a login.
func refuseSocket(ctx context.Context, conn *websocket.Conn) {
	if sendPackets(ctx, conn, joinedPacket, `42["error","unauthorized"]`, "41") {
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}
}

// keepSocket sends pings until the client leaves.
func keepSocket(ctx context.Context, conn *websocket.Conn) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	go discardPackets(ctx, conn, leave)

	for sendPackets(ctx, conn, joinedPacket); pause(ctx, pingInterval) && sendPackets(ctx, conn, "2"); {
		continue
	}
}

func discardPackets(ctx context.Context, conn *websocket.Conn, leave func()) {
	defer leave()

	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return
		}
	}
}
