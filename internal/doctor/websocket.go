package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	areaWebSocket = "WebSocket"
	socketPath    = "/api/socket.io/?EIO=4&transport=websocket"
	socketBreaks  = `The app shows the server as offline, and new uploads appear only after a reload, in the app and on the web page.`
	packetWithin  = 5 * time.Second
)

// checkWebSocket opens one as the app does, over HTTP/1.1, and waits for Immich's first packet.
func (e *examination) checkWebSocket(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	//nolint:bodyclose // the package has closed it, and left the beginning of the body to be read
	conn, response, err := websocket.Dial(ctx, e.target.origin()+socketPath, &websocket.DialOptions{
		HTTPClient: e.clients.http1,
		HTTPHeader: e.withKey(http.Header{"User-Agent": {userAgent}}),
	})
	if err != nil {
		e.add(e.socketFault(response, err))
		return
	}
	defer conn.CloseNow()

	ctx, cancel = context.WithTimeout(ctx, packetWithin)
	defer cancel()
	if _, packet, err := conn.Read(ctx); err != nil || !strings.HasPrefix(string(packet), "0{") {
		e.add(Finding{
			ID: "websocket-no-data", Level: Problem, Area: areaWebSocket,
			Title:  "The WebSocket opens, but no data arrives",
			Seen:   fmt.Sprintf("no packet within %s", packetWithin),
			Breaks: socketBreaks,
		})
		return
	}
	e.passed("websocket", areaWebSocket, "opens, and data arrives")
}

func (e *examination) socketFault(response *http.Response, err error) Finding {
	a := &answer{err: err}
	if response != nil {
		body, _ := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
		a = &answer{status: response.StatusCode, proto: response.Proto, header: response.Header, body: body}
		e.traces.note(a)
	}
	f := Finding{Level: Problem, Area: areaWebSocket, Seen: fmt.Sprintf("GET /api/socket.io/ with Upgrade: %s", a), Breaks: socketBreaks}
	switch {
	case e.refusal != nil && a.isLike(e.refusal):
		f.ID, f.Title = "websocket-key", "The key is lost on the WebSocket"
	case a.isUpgradeMissing():
		f.ID, f.Title = "websocket-upgrade", "The proxy does not forward the WebSocket's upgrade"
	default:
		f.ID, f.Title = "websocket-refused", "The WebSocket does not reach Immich"
	}
	return f
}

// isUpgradeMissing reports whether Immich got a plain request instead of an upgrade: engine.io then responds with a code.
func (a *answer) isUpgradeMissing() bool {
	if a.status == http.StatusBadRequest && (strings.Contains(string(a.body), `"code"`) || a.message() == "Bad request") {
		return true
	}
	return a.status == http.StatusUpgradeRequired || a.status == http.StatusOK
}
