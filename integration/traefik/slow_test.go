//go:build slow

package traefik_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// An upload that takes longer than Traefik's default limit of 60 s.
func TestUploadLongerThanAMinute(t *testing.T) {
	e := startExample(t)
	for protocol, client := range harness.Clients(t) {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			name := "slow-" + strings.ReplaceAll(protocol, "/", "-") + ".mp4"
			body, source := io.Pipe()
			// With the same content, the second upload would be a duplicate, and get 200.
			go trickle(source, harness.FormHead(name)+name, harness.FormTail, 70*time.Second)
			r := e.request(t, http.MethodPost, e.Keyed, "/api/assets", traefik.ExampleKey, body)
			r.Header.Set("Content-Type", harness.FormType)
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			upload := e.await(t, func(u fakeimmich.Upload) bool { return u.Filename == name && !u.End.IsZero() })
			if took := upload.End.Sub(upload.FirstByte); response.StatusCode != http.StatusCreated || !upload.Complete || took < time.Minute {
				t.Errorf("status %d after %s, %+v", response.StatusCode, took, upload)
			}
		})
	}
}

// trickle writes the head, then a little every second, and finally the tail.
func trickle(to *io.PipeWriter, head, tail string, duration time.Duration) {
	defer to.Close()
	io.WriteString(to, head)
	for end := time.Now().Add(duration); time.Now().Before(end); time.Sleep(time.Second) {
		if _, err := to.Write(make([]byte, 1000)); err != nil {
			return
		}
	}
	io.WriteString(to, tail)
}
