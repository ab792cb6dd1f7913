package torture

import (
	"net/http"
	"os"
	"path/filepath"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What happens to Immich and to the keys, behind the real Traefik with the plugin.

func traefikDays() []*badDay {
	var days []*badDay
	for _, d := range immichDays() {
		if d.open == nil { // Traefik has no such timeouts
			behind := *d
			behind.quick, behind.inTraefik = false, true
			days = append(days, &behind)
		}
	}
	open := func(s *scene) { s.openDefault(); s.files.keys = s.traefik.KeysFile }
	days = append(days,
		&badDay{name: "the key file is replaced", inTraefik: true, open: open, strike: keyFileReplaced, expect: "the new keys hold within 5 s and the old no more; nothing that runs notices"},
		&badDay{name: "a good reload", inTraefik: true, open: open, strike: traefikReloads, expect: "the new rules hold, nothing that runs notices"},
		&badDay{name: "a broken reload", inTraefik: true, open: open, strike: traefikReloadsBroken, expect: "the old rules hold, nothing that runs notices"},
	)
	for _, k := range keyFileStrikes {
		if k.name == "can't be read any more" {
			continue // by root it can
		}
		days = append(days, &badDay{
			name: "the key file " + k.name, inTraefik: true, open: open, strike: func(s *scene) { keyFileSpoilt(s, k) },
			expect: "as without Traefik",
		})
	}
	return days
}

func traefikReloads(s *scene) {
	tr := s.begin()
	defer tr.end()
	other := filepath.Join(s.TempDir(), "keys")
	s.must(os.WriteFile(other, []byte("other:"+otherKey+"\n"), 0o600))
	s.traefik.SetKeysFile(s, other)
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(harness.Key, http.StatusForbidden)
	tr.wantWhole()
	tr.wantSocket()
	s.traefik.SetKeysFile(s, s.files.keys)
	s.awaitStatus(harness.Key, http.StatusOK)
}

func traefikReloadsBroken(s *scene) {
	tr := s.begin()
	defer tr.end()
	mark := s.log().Mark()
	s.traefik.Break(s)
	s.log().Await(s, mark, "ERR")
	s.wantStatus(harness.Key, http.StatusOK)
	s.wantStatus("", http.StatusForbidden)
	tr.wantWhole()
	tr.wantSocket()
	s.traefik.SetKeysFile(s, s.files.keys)
	s.wantStatus(harness.Key, http.StatusOK)
}
