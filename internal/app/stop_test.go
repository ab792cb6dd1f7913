package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/immichaccess/immichaccess/internal/filewatch"
)

// heldUpload is an upload that runs until the test ends it.
type heldUpload struct {
	content *io.PipeWriter
	status  chan int
}

func (o opened) holdUpload(t *testing.T, client *http.Client) heldUpload {
	t.Helper()
	content, writer := io.Pipe()
	held := heldUpload{writer, make(chan int, 1)}
	go func() {
		status, _ := upload(t, client, o.url("/api/assets"), content)
		held.status <- status
	}()
	if _, err := writer.Write([]byte("the beginning, ")); err != nil {
		t.Fatal(err)
	}
	o.await(t, func(u fakeimmich.Upload) bool { return u.Bytes > 0 })
	return held
}

func (h heldUpload) finish(t *testing.T) {
	t.Helper()
	if _, err := h.content.Write([]byte("and the end")); err != nil {
		t.Fatal(err)
	}
	_ = h.content.Close()
	if status := <-h.status; status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
}

func TestStopLetsUploadsFinish(t *testing.T) {
	t.Parallel()
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		a := open(t, unchanged)
		held := a.holdUpload(t, client)
		stopped := make(chan error, 1)
		go func() { stopped <- a.Stop(context.Background()) }()
		a.log.Await(t, "stopping")

		held.finish(t)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if u := a.immich.Uploads()[0]; !u.Complete || u.Size != int64(len("the beginning, and the end")) {
			t.Errorf("Immich has %+v", u)
		}
	})
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	client := &http.Client{Transport: protocols["HTTP/1.1"](t)}
	request := newRequest(t, http.MethodGet, a.url("/api/server/slow?delay=1h"), nil)
	ended := make(chan error, 1)
	go func() {
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		ended <- err
	}()
	waitFor(t, "the request", func() bool { return a.immich.Requests() == 1 })

	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGTERM
	signals <- syscall.SIGTERM
	if err := a.serve(nil, filewatch.New(""), signals); !errors.Is(err, errCut) || err.Error() != "stopped, transfers unfinished: 1: second signal: terminated" {
		t.Errorf("%v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the request has an answer")
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	client := &http.Client{Transport: protocols["HTTP/2"](t)}
	held := a.holdUpload(t, client)
	file := filepath.Join(t.TempDir(), "immichaccess.yml")
	load := func() (*config.Loaded, error) { return config.Load([]string{"--configFile=" + file}, nil) }

	write(t, file, "access: {keys: ['laptop:another-secret-than-before']}\nlog: {level: debug}\ntimeouts: {idle: 1h}\n")
	a.Reload(load)
	if status, _ := get(t, client, a.url("/api/server/ping")); status != http.StatusForbidden {
		t.Errorf("the old key is answered with %d", status)
	}
	if said := a.log.String(); !strings.Contains(said, "only after a restart") || !strings.Contains(said, "timeouts.idle") {
		t.Errorf("the log does not list the options that need a restart:\n%s", said)
	}

	write(t, file, "access: {keys: [")
	a.Reload(load)
	if !strings.Contains(a.log.String(), "stays as it was") {
		t.Errorf("the log does not report the broken file:\n%s", a.log)
	}
	if status, _ := get(t, client, a.url("/api/server/ping")); status != http.StatusForbidden {
		t.Errorf("the old key is answered with %d", status)
	}
	held.finish(t)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A WebSocket has no end to wait for: it does not count as a running transfer, and a stop closes it.
func TestStopDoesNotWaitForWebSockets(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) { s.Log.Access = true })
	conn := a.socket(t)
	if shown := a.metrics(); !strings.Contains(shown, "immichaccess_transfers_running 0\n") || !strings.Contains(shown, "immichaccess_websockets_open 1\n") {
		t.Errorf("the metrics are\n%s", shown)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(a.log.String(), "msg=stopping transfers=0") {
		t.Errorf("the log is\n%s", a.log)
	}
	a.log.Await(t, "status=101")
	a.log.Await(t, "aborted=shutdown")
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("the WebSocket stays open")
	}
}

// TestReloadReportsAgainWhatNeedsARestart reloads the same file twice.
func TestReloadReportsAgainWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	a := open(t, unchanged)
	file := filepath.Join(t.TempDir(), "immichaccess.yml")
	load := func() (*config.Loaded, error) { return config.Load([]string{"--configFile=" + file}, nil) }
	write(t, file, "access: {keys: ['phone:"+key+"']}\ntimeouts: {idle: 1h}\n")
	for range 2 {
		a.Reload(load)
	}
	if n := strings.Count(a.log.String(), "only after a restart"); n != 2 {
		t.Errorf("the log lists the options that need a restart %d times:\n%s", n, a.log)
	}
}

// TestReloadEndsTheOldHandler expects the old handler's context to be canceled.
func TestReloadEndsTheOldHandler(t *testing.T) {
	t.Parallel()
	access := immichaccess.CreateConfig()
	access.Keys = []string{"phone:" + key}
	r, err := newReloadableHandler(*access, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	ended, end := false, r.end
	r.end = func() { ended = true; end() }
	if err := r.set(*access); err != nil || !ended {
		t.Errorf("the old handler has ended: %t, %v", ended, err)
	}
	ended, end = false, r.end
	r.end = func() { ended = true; end() }
	access.Keys = []string{":"}
	if err := r.set(*access); err == nil || ended {
		t.Errorf("after invalid options, the handler in use has ended: %t, %v", ended, err)
	}
	r.close()
	if !ended {
		t.Error("close does not end the handler")
	}
}
