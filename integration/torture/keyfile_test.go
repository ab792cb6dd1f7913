package torture

import (
	"net/http"
	"os"
	"syscall"

	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// Failures of the file with the keys. In Traefik, the same code reads it.

type keyFileFault struct {
	name   string
	damage func(s *testRun)
	log    string // what the log must contain
	denied bool   // all requests are refused
}

var keyFileFaults = []keyFileFault{
	{"is truncated in the middle of an entry", func(s *testRun) { s.must(os.WriteFile(s.files.keys, []byte("phone:sha256:dbb66a212f68"), 0o600)) }, "the keys stay as they were", false},
	{"is emptied", func(s *testRun) { s.must(os.Truncate(s.files.keys, 0)) }, "there are 0 keys now", true},
	{"is removed", func(s *testRun) { s.must(os.Remove(s.files.keys)) }, "the keys stay as they were", false},
	{"can't be read any more", func(s *testRun) { s.writeKeys("phone:" + otherKey + "\n"); s.must(os.Chmod(s.files.keys, 0)) }, "the keys stay as they were", false},
	{"is a directory", func(s *testRun) { s.replaceKeys(func(name string) error { return os.Mkdir(name, 0o755) }) }, "the keys stay as they were", false},
	{"is a FIFO", func(s *testRun) { s.replaceKeys(func(name string) error { return syscall.Mkfifo(name, 0o600) }) }, "the keys stay as they were", false},
	{"is a dangling link", func(s *testRun) { s.replaceKeys(func(name string) error { return os.Symlink("nowhere", name) }) }, "the keys stay as they were", false},
	{"is an endless device", func(s *testRun) { s.replaceKeys(func(name string) error { return os.Symlink("/dev/zero", name) }) }, "the keys stay as they were", false},
	{"is larger than it may be", func(s *testRun) { s.must(os.Truncate(s.files.keys, 5<<20)) }, "the keys stay as they were", false},
}

func keyFileScenarios() []*scenario {
	open := func(s *testRun) {
		s.keysFile()
		options := testbed.ProxyOptions{Access: "  keysFile: " + s.files.keys + "\n"}
		if os.Getuid() == 0 { // root may read everything, unless it drops these capabilities
			options.Through = []string{"setpriv", "--inh-caps=-dac_override,-dac_read_search", "--bounding-set=-dac_override,-dac_read_search"}
		}
		s.startProxy(options)
	}
	all := []*scenario{{
		name: "the key file is replaced", quick: true, setUp: open, inject: keyFileReplaced,
		expect: "the new keys take effect within 5 s and the old ones are revoked; running transfers are not affected",
	}}
	for _, d := range keyFileFaults {
		expect := "the log says why, the old keys remain, running transfers are not affected; a valid file is read again within 5 s"
		if d.denied {
			expect = "all requests are refused, and the log says so; running transfers are not affected; a valid file is read again within 5 s"
		}
		all = append(all, &scenario{
			name: "the key file " + d.name, quick: d.name == "is a FIFO", setUp: open, expect: expect,
			inject: func(s *testRun) { keyFileDamaged(s, d) },
		})
	}
	return all
}

func (s *testRun) replaceKeys(create func(name string) error) {
	s.Helper()
	s.must(os.Remove(s.files.keys))
	s.must(create(s.files.keys))
}

func keyFileReplaced(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	s.writeKeys("other:" + otherKey + "\n")
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(testbed.Key, http.StatusForbidden)
	tr.wantComplete()
	tr.wantSocket()
	s.writeKeys("phone:" + testbed.Key + "\n")
	s.awaitStatus(testbed.Key, http.StatusOK)
}

func keyFileDamaged(s *testRun, d keyFileFault) {
	tr := s.startTraffic()
	defer tr.stop()
	mark := s.log().Mark()
	d.damage(s)
	s.log().Await(s, mark, d.log)
	if d.denied {
		s.wantStatus(testbed.Key, http.StatusForbidden)
	} else {
		s.wantStatus(testbed.Key, http.StatusOK)
		s.wantStatus(otherKey, http.StatusForbidden)
	}
	tr.wantComplete()
	tr.wantSocket()
	s.must(os.RemoveAll(s.files.keys))
	s.writeKeys("phone:" + testbed.Key + "\nother:" + otherKey + "\n")
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(testbed.Key, http.StatusOK)
	s.writeKeys("phone:" + testbed.Key + "\n")
	s.awaitStatus(otherKey, http.StatusForbidden)
}
