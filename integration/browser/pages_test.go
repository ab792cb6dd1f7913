package browser

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	keyField  = "input[name=key]"
	firstPage = "/photos?at=00000000-0000-4000-8000-000000000001&q=a%20b"
	thumbnail = "/api/assets/00000000-0000-4000-8000-000000000001/thumbnail?size=thumbnail"
)

// wantLoginPage requires the login page, with an empty form.
func wantLoginPage(b *tab) {
	b.t.Helper()
	if forms := eval[int](b, "document.forms.length"); forms != 1 {
		b.t.Errorf("the page has %d forms", forms)
	}
	if text := eval[string](b, "document.body.innerText"); strings.Contains(text, "Immich") {
		b.t.Errorf("the page says %q", text)
	}
	if value := eval[string](b, "document.querySelector('"+keyField+"').value"); value != "" {
		b.t.Errorf("the field has %q", value)
	}
}

// wantImmich requires the page that was requested first, with all of it working.
func wantImmich(b *tab, url string) {
	b.t.Helper()
	if got := eval[string](b, "location.href"); got != url {
		b.t.Errorf("the browser is at %s, not %s", got, url)
	}
	b.await("document.getElementById('socket')?.value === 'WebSocket connected'")
	b.await("document.getElementById('api').value === 'API answers'")
	b.await("document.images.length === 6 && [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
}

func (s site) login(t *testing.T, key string) *tab {
	t.Helper()
	b := s.open(t)
	b.visit(s.origin + firstPage)
	if status := b.typeKey(key); status != http.StatusOK {
		t.Fatalf("the key is answered with %d", status)
	}
	return b
}

// uploadFile chooses a file on the page, and returns the upload when Immich has received all of it.
func (s site) uploadFile(t *testing.T, b *tab, size int64) fakeimmich.Upload {
	t.Helper()
	name := fmt.Sprintf("VID_%d.mp4", len(s.immich.Uploads()))
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(file, fakeimmich.Content(size)); err != nil {
		t.Fatal(err)
	}
	run(b, chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{path}))
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	upload, err := s.immich.Await(ctx, func(u fakeimmich.Upload) bool { return u.Filename == name && !u.End.IsZero() })
	if err != nil {
		t.Fatalf("%v; the page says %s", err, eval[string](b, "document.getElementById('upload').value"))
	}
	return upload
}

func wantJSONRefusal(t *testing.T, answer fetched) {
	t.Helper()
	if answer.Status != http.StatusForbidden || !strings.HasPrefix(answer.Type, "application/json") || !strings.Contains(answer.Body, `"statusCode":403`) {
		t.Errorf("a script gets %d, %s, %.200q", answer.Status, answer.Type, answer.Body)
	}
}
