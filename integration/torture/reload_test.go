package torture

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// Failures of the configuration while the proxy runs.

const otherKey = "another-key-0123456789"

func reloadScenarios() []*scenario {
	signal := func(s *testRun) { s.proxy.Send(s, syscall.SIGHUP) }
	waits := func(*testRun) {} // for the proxy to look at the file
	all := []*scenario{
		{name: "a good reload, by SIGHUP", quick: true, inject: goodReload(signal), expect: "the new configuration takes effect at once, running transfers are not affected"},
		{name: "a good reload, by a change of the file", inject: goodReload(waits), expect: "the new configuration takes effect, running transfers are not affected"},
	}
	for _, b := range []struct {
		name, by string
		reload   func(*testRun)
		damage   func(s *testRun)
	}{
		{"syntax", "SIGHUP", signal, func(s *testRun) { s.writeConfig("access: [\n") }},
		{"syntax", "a change of the file", waits, func(s *testRun) { s.writeConfig("access: [\n") }},
		{"an unknown option", "SIGHUP", signal, func(s *testRun) { s.writeConfig("access:\n  kyes: [phone:" + testbed.Key + "]\n") }},
		{"no key", "SIGHUP", signal, func(s *testRun) { s.writeConfig("access: {}\n") }},
		{"no file", "SIGHUP", signal, func(s *testRun) { s.must(os.Remove(s.proxy.Config)) }},
		{"a directory", "SIGHUP", signal, func(s *testRun) { s.must(os.Remove(s.proxy.Config)); s.must(os.Mkdir(s.proxy.Config, 0o755)) }},
	} {
		all = append(all, &scenario{
			name: fmt.Sprintf("a broken reload: %s, by %s", b.name, b.by), quick: b.name == "syntax" && b.by == "SIGHUP",
			inject: brokenReload(b.damage, b.reload), expect: "the log says why, the old configuration remains, running transfers are not affected",
		})
	}
	return all
}

func (s *testRun) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *testRun) writeConfig(text string) {
	s.Helper()
	s.must(os.WriteFile(s.proxy.Config+".new", []byte(text), 0o600))
	s.must(os.Rename(s.proxy.Config+".new", s.proxy.Config))
}

func goodReload(reload func(*testRun)) func(*testRun) {
	return func(s *testRun) {
		tr := s.startTraffic()
		defer tr.stop()
		s.proxy.WriteConfig(s, "  keys: [other:"+otherKey+"]\n")
		reload(s)
		s.awaitStatus(otherKey, http.StatusOK)
		s.wantStatus(testbed.Key, http.StatusForbidden)
		tr.wantComplete()
		tr.wantSocket()
		s.proxy.WriteConfig(s, "")
		reload(s)
		s.awaitStatus(testbed.Key, http.StatusOK)
		s.wantStatus(otherKey, http.StatusForbidden)
	}
}

func brokenReload(damage, reload func(*testRun)) func(*testRun) {
	return func(s *testRun) {
		tr := s.startTraffic()
		defer tr.stop()
		mark := s.proxy.Log.Mark()
		damage(s)
		reload(s)
		s.proxy.Log.Await(s, mark, "level=ERROR")
		s.wantStatus(testbed.Key, http.StatusOK)
		s.wantStatus("", http.StatusForbidden)
		tr.wantComplete()
		tr.wantSocket()
		_ = os.Remove(s.proxy.Config) // it may be a directory
		s.proxy.WriteConfig(s, "")
		mark = s.proxy.Log.Mark()
		s.proxy.Send(s, syscall.SIGHUP)
		s.proxy.Log.Await(s, mark, "level=INFO")
		s.wantStatus(testbed.Key, http.StatusOK)
	}
}

// files are those that the proxy reads.
type files struct {
	folder      string
	keys        string
	certificate string
	privateKey  string
}

func (s *testRun) keysFile() {
	s.Helper()
	s.files.keys = filepath.Join(s.TempDir(), "keys")
	s.writeKeys("phone:" + testbed.Key + "\n")
}

func (s *testRun) writeKeys(content string) {
	s.Helper()
	s.must(os.WriteFile(s.files.keys+".new", []byte(content), 0o600))
	s.must(os.Rename(s.files.keys+".new", s.files.keys))
}
