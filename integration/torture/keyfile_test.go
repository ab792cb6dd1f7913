package torture

import (
	"net/http"
	"os"
	"syscall"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What can happen to the file with the keys. With Traefik, the same code reads it.

type keyFileDay struct {
	name   string
	spoil  func(s *scene)
	log    string // what must be said of it
	denied bool   // nobody gets in any more
}

var keyFileStrikes = []keyFileDay{
	{"is cut off in the middle of an entry", func(s *scene) { s.must(os.WriteFile(s.files.keys, []byte("phone:sha256:dbb66a212f68"), 0o600)) }, "the keys stay as they were", false},
	{"is emptied", func(s *scene) { s.must(os.Truncate(s.files.keys, 0)) }, "there are 0 keys now", true},
	{"is removed", func(s *scene) { s.must(os.Remove(s.files.keys)) }, "the keys stay as they were", false},
	{"can't be read any more", func(s *scene) { s.writeKeys("phone:" + otherKey + "\n"); s.must(os.Chmod(s.files.keys, 0)) }, "the keys stay as they were", false},
	{"is a directory", func(s *scene) { s.replaceKeys(func(name string) error { return os.Mkdir(name, 0o755) }) }, "the keys stay as they were", false},
	{"is a FIFO", func(s *scene) { s.replaceKeys(func(name string) error { return syscall.Mkfifo(name, 0o600) }) }, "the keys stay as they were", false},
	{"is a link to nowhere", func(s *scene) { s.replaceKeys(func(name string) error { return os.Symlink("nowhere", name) }) }, "the keys stay as they were", false},
	{"is a device without end", func(s *scene) { s.replaceKeys(func(name string) error { return os.Symlink("/dev/zero", name) }) }, "the keys stay as they were", false},
	{"is larger than it may be", func(s *scene) { s.must(os.Truncate(s.files.keys, 5<<20)) }, "the keys stay as they were", false},
}

func keyFileDays() []*badDay {
	open := func(s *scene) {
		s.keysFile()
		options := harness.ProxyOptions{Access: "  keysFile: " + s.files.keys + "\n"}
		if os.Getuid() == 0 { // root reads everything, but that it gives this right up
			options.Through = []string{"setpriv", "--inh-caps=-dac_override,-dac_read_search", "--bounding-set=-dac_override,-dac_read_search"}
		}
		s.openProxy(options)
	}
	days := []*badDay{{
		name: "the key file is replaced", quick: true, open: open, strike: keyFileReplaced,
		expect: "the new keys hold within 5 s and the old no more; nothing that runs notices",
	}}
	for _, d := range keyFileStrikes {
		expect := "the log says why, the old keys hold, nothing that runs notices; a good file is taken again within 5 s"
		if d.denied {
			expect = "nobody gets in any more, which the log says; nothing that runs notices; a good file is taken again within 5 s"
		}
		days = append(days, &badDay{
			name: "the key file " + d.name, quick: d.name == "is a FIFO", open: open, expect: expect,
			strike: func(s *scene) { keyFileSpoilt(s, d) },
		})
	}
	return days
}

func (s *scene) replaceKeys(create func(name string) error) {
	s.Helper()
	s.must(os.Remove(s.files.keys))
	s.must(create(s.files.keys))
}

func keyFileReplaced(s *scene) {
	tr := s.begin()
	defer tr.end()
	s.writeKeys("other:" + otherKey + "\n")
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(harness.Key, http.StatusForbidden)
	tr.wantWhole()
	tr.wantSocket()
	s.writeKeys("phone:" + harness.Key + "\n")
	s.awaitStatus(harness.Key, http.StatusOK)
}

func keyFileSpoilt(s *scene, d keyFileDay) {
	tr := s.begin()
	defer tr.end()
	mark := s.log().Mark()
	d.spoil(s)
	s.log().Await(s, mark, d.log)
	if d.denied {
		s.wantStatus(harness.Key, http.StatusForbidden)
	} else {
		s.wantStatus(harness.Key, http.StatusOK)
		s.wantStatus(otherKey, http.StatusForbidden)
	}
	tr.wantWhole()
	tr.wantSocket()
	s.must(os.RemoveAll(s.files.keys))
	s.writeKeys("phone:" + harness.Key + "\nother:" + otherKey + "\n")
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(harness.Key, http.StatusOK)
	s.writeKeys("phone:" + harness.Key + "\n")
	s.awaitStatus(otherKey, http.StatusForbidden)
}
