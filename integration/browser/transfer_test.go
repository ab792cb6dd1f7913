package browser

import (
	"net/http"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

func uploadScenario(t *testing.T, s site) {
	const size = 20 << 20
	b := s.login(t, familyKey)
	upload := s.uploadFile(t, b, size)
	if want := harness.Checksum(t, fakeimmich.Content(size)); !upload.Complete || upload.Size != size || upload.Checksum != want {
		t.Errorf("Immich has %+v, and not %s", upload, want)
	}
	b.await("document.getElementById('upload').value.endsWith('created') || document.getElementById('upload').value.endsWith('duplicate')")
	b.await("document.images.length === 7 && document.images[0].naturalWidth > 0")
}

func sharedLinkScenario(t *testing.T, s site) {
	b := s.open(t)
	for _, path := range []string{"/share/abc", "/s/holidays"} {
		if status := b.visit(s.origin + path); status != http.StatusOK {
			t.Fatalf("%s: status %d", path, status)
		}
		b.await("document.getElementById('api').value === 'API answers'")
		b.await("document.images.length === 6 && [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
		if upload := s.uploadFile(t, b, 1<<20); !upload.Complete {
			t.Errorf("%s: Immich has %+v", path, upload)
		}
		wantJSONRefusal(t, b.fetch("/api/users/me"))
		wantJSONRefusal(t, b.fetch("/api/albums?key=abc"))
	}
	if status := b.visit(s.origin + "/photos"); status != http.StatusForbidden {
		t.Errorf("/photos: status %d", status)
	}
	wantLoginPage(b)
}

func scriptScenario(t *testing.T, s site) {
	b := s.open(t)
	b.visit(s.origin + "/share/abc")
	for _, path := range []string{"/api/users/me", "/api/assets", "/photos", "/"} {
		wantJSONRefusal(t, b.fetch(path))
	}
}
