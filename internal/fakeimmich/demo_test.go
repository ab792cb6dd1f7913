package fakeimmich

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
)

func TestDemoHasOneSharedLink(t *testing.T) {
	t.Parallel()

	server := httptest.NewServer(NewDemo())
	t.Cleanup(server.Close)

	for query, status := range map[string]int{
		"?key=holiday": http.StatusOK, "?slug=holiday": http.StatusOK, "?key=other": http.StatusUnauthorized, "": http.StatusUnauthorized,
	} {
		if response, body := get(t, server.URL+"/api/shared-links/me"+query, nil); response.StatusCode != status {
			t.Errorf("%q: %s: %s", query, response.Status, body)
		}
	}
}

func TestDemoKeepsItsSocket(t *testing.T) {
	t.Parallel()

	server := httptest.NewServer(NewDemo())
	t.Cleanup(server.Close)

	conn, _, err := websocket.Dial(t.Context(), server.URL+"/api/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()

	expectPacket(t, conn, "0{")
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("40")); err != nil {
		t.Fatal(err)
	}
	expectPacket(t, conn, "40{")
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("it does not close: %v", err)
	}
}
