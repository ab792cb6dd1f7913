package torture

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What can happen to the configuration while the proxy runs.

const otherKey = "another-key-for-another-day"

func reloadDays() []*badDay {
	signal := func(s *scene) { s.proxy.Signal(s, syscall.SIGHUP) }
	waits := func(*scene) {} // for the proxy to look at the file
	days := []*badDay{
		{name: "a good reload, by SIGHUP", quick: true, strike: goodReload(signal), expect: "the new rules hold at once, nothing that runs notices"},
		{name: "a good reload, by a change of the file", strike: goodReload(waits), expect: "the new rules hold, nothing that runs notices"},
	}
	for _, b := range []struct {
		name, by string
		reload   func(*scene)
		spoil    func(s *scene)
	}{
		{"syntax", "SIGHUP", signal, func(s *scene) { s.writeConfig("access: [\n") }},
		{"syntax", "a change of the file", waits, func(s *scene) { s.writeConfig("access: [\n") }},
		{"an unknown option", "SIGHUP", signal, func(s *scene) { s.writeConfig("access:\n  kyes: [phone:" + harness.Key + "]\n") }},
		{"no key", "SIGHUP", signal, func(s *scene) { s.writeConfig("access: {}\n") }},
		{"no file", "SIGHUP", signal, func(s *scene) { s.must(os.Remove(s.proxy.Config)) }},
		{"a directory", "SIGHUP", signal, func(s *scene) { s.must(os.Remove(s.proxy.Config)); s.must(os.Mkdir(s.proxy.Config, 0o755)) }},
	} {
		days = append(days, &badDay{
			name: fmt.Sprintf("a broken reload: %s, by %s", b.name, b.by), quick: b.name == "syntax" && b.by == "SIGHUP",
			strike: brokenReload(b.spoil, b.reload), expect: "the log says why, the old rules hold, nothing that runs notices",
		})
	}
	return days
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) writeConfig(text string) {
	s.Helper()
	s.must(os.WriteFile(s.proxy.Config+".new", []byte(text), 0o600))
	s.must(os.Rename(s.proxy.Config+".new", s.proxy.Config))
}

func goodReload(reload func(*scene)) func(*scene) {
	return func(s *scene) {
		tr := s.begin()
		defer tr.end()
		s.proxy.WriteConfig(s, "  keys: [other:"+otherKey+"]\n")
		reload(s)
		s.awaitStatus(otherKey, http.StatusOK)
		s.wantStatus(harness.Key, http.StatusForbidden)
		tr.wantWhole()
		tr.wantSocket()
		s.proxy.WriteConfig(s, "")
		reload(s)
		s.awaitStatus(harness.Key, http.StatusOK)
		s.wantStatus(otherKey, http.StatusForbidden)
	}
}

func brokenReload(spoil, reload func(*scene)) func(*scene) {
	return func(s *scene) {
		tr := s.begin()
		defer tr.end()
		mark := s.proxy.Log.Mark()
		spoil(s)
		reload(s)
		s.proxy.Log.Await(s, mark, "level=ERROR")
		s.wantStatus(harness.Key, http.StatusOK)
		s.wantStatus("", http.StatusForbidden)
		tr.wantWhole()
		tr.wantSocket()
		_ = os.Remove(s.proxy.Config) // it may be a directory
		s.proxy.WriteConfig(s, "")
		mark = s.proxy.Log.Mark()
		s.proxy.Signal(s, syscall.SIGHUP)
		s.proxy.Log.Await(s, mark, "level=INFO")
		s.wantStatus(harness.Key, http.StatusOK)
	}
}

// files are what a proxy of a bad day reads.
type files struct {
	folder      string
	keys        string
	certificate string
	privateKey  string
}

func (s *scene) keysFile() {
	s.Helper()
	s.files.keys = filepath.Join(s.TempDir(), "keys")
	s.writeKeys("phone:" + harness.Key + "\n")
}

func (s *scene) writeKeys(content string) {
	s.Helper()
	s.must(os.WriteFile(s.files.keys+".new", []byte(content), 0o600))
	s.must(os.Rename(s.files.keys+".new", s.files.keys))
}
