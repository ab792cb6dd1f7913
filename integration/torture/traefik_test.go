package torture

import (
	"net/http"
	"os"
	"path/filepath"

	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// Failures of Immich and of the keys, behind the real Traefik with the plugin.

func traefikScenarios() []*scenario {
	var all []*scenario
	for _, d := range immichScenarios() {
		if d.setUp == nil { // Traefik has no such timeouts
			behind := *d
			behind.quick, behind.inTraefik = false, true
			all = append(all, &behind)
		}
	}
	open := func(s *testRun) { s.startDefault(); s.files.keys = s.traefik.KeysFile }
	all = append(all,
		&scenario{name: "the key file is replaced", inTraefik: true, setUp: open, inject: keyFileReplaced, expect: "the new keys take effect within 5 s and the old ones are revoked; running transfers are not affected"},
		&scenario{name: "a good reload", inTraefik: true, setUp: open, inject: traefikReloads, expect: "the new configuration takes effect, running transfers are not affected"},
		&scenario{name: "a broken reload", inTraefik: true, setUp: open, inject: traefikReloadsBroken, expect: "the old configuration remains, running transfers are not affected"},
	)
	for _, k := range keyFileFaults {
		if k.name == "can't be read any more" {
			continue // root can
		}
		all = append(all, &scenario{
			name: "the key file " + k.name, inTraefik: true, setUp: open, inject: func(s *testRun) { keyFileDamaged(s, k) },
			expect: "as without Traefik",
		})
	}
	return all
}

func traefikReloads(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	other := filepath.Join(s.TempDir(), "keys")
	s.must(os.WriteFile(other, []byte("other:"+otherKey+"\n"), 0o600))
	s.traefik.SetKeysFile(s, other)
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(testbed.Key, http.StatusForbidden)
	tr.wantComplete()
	tr.wantSocket()
	s.traefik.SetKeysFile(s, s.files.keys)
	s.awaitStatus(testbed.Key, http.StatusOK)
}

func traefikReloadsBroken(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	mark := s.log().Mark()
	s.traefik.Break(s)
	s.log().Await(s, mark, "ERR")
	s.wantStatus(testbed.Key, http.StatusOK)
	s.wantStatus("", http.StatusForbidden)
	tr.wantComplete()
	tr.wantSocket()
	s.traefik.SetKeysFile(s, s.files.keys)
	s.wantStatus(testbed.Key, http.StatusOK)
}
