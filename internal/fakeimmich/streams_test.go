package fakeimmich

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestSocketEchoes(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	for _, path := range []string{"/api/socket.io", "/api/socket.io/?EIO=4&transport=websocket"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()

			conn, response, err := websocket.Dial(t.Context(), url+path, &websocket.DialOptions{
				HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.CloseNow() }()
			conn.SetReadLimit(-1)

			if got := response.Header.Get("Keep-Alive"); got != "" {
				t.Errorf("the upgrade announced keep-alive %q", got)
			}

			for _, message := range []string{"2probe", "", strings.Repeat("long ", 20_000)} {
				if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
					t.Fatal(err)
				}

				kind, got, err := conn.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if kind != websocket.MessageText || string(got) != message {
					t.Errorf("sent %d bytes, got %d as %s", len(message), len(got), kind)
				}
			}
		})
	}
}

func TestSyncStreamFlushesItsFirstLine(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	conn := dial(t, url)
	conn.send(t, "POST /api/sync/stream?gap=1h HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")

	response, err := http.ReadResponse(conn.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	_ = conn.Close()

	if err != nil || !strings.HasPrefix(line, `{"type":`) {
		t.Errorf("the first line is %q, %v", line, err)
	}
}

func TestSyncStreamSendsThreeLines(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	response, body := do(t, http.MethodPost, url+"/api/sync/stream", nil, strings.NewReader("{}"))
	if got := response.Header.Get("Content-Type"); got != "application/jsonlines+json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got := strings.Count(body, "\n"); got != 3 {
		t.Errorf("%d lines:\n%s", got, body)
	}
}

func TestSlowAnswersAfterItsDelay(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	if _, body := get(t, url+"/api/server/slow?delay=1ms", nil); body != `{"res":"pong"}` {
		t.Errorf("answered %s", body)
	}
}

func TestSlowStopsWhenTheClientDisconnects(t *testing.T) {
	t.Parallel()

	s, finished := New(), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		close(finished)
	}))
	t.Cleanup(server.Close)

	conn := dial(t, server.URL)
	conn.send(t, "GET /api/server/slow?delay=1h HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = conn.Close()

	select {
	case <-finished:
	case <-time.After(patience):
		t.Error("it has not stopped")
	}
}

func TestInterimAnswerAndTrailer(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	var early textproto.MIMEHeader
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, header textproto.MIMEHeader) error { early = header; return nil },
	})
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/server/interim", nil)

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}

	if len(early) != 1 || early.Get("Link") == "" {
		t.Errorf("the interim answer had %v", early)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Link") != "" {
		t.Errorf("the final answer was %s with %v", response.Status, response.Header)
	}
	if got := response.Trailer.Get("X-Checksum"); len(got) != 40 {
		t.Errorf("the trailer is %q", got)
	}
}

func TestEchoesTrailers(t *testing.T) {
	t.Parallel()

	_, url := start(t)

	conn := dial(t, url)
	conn.send(t, "POST /api/server/trailers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Last\r\n\r\n")
	conn.send(t, "1\r\na\r\n0\r\nX-Last: word\r\n\r\n")

	if _, body := conn.receive(t); body != `{"X-Last":["word"]}` {
		t.Errorf("answered %s", body)
	}
}
