package torture

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// What a machine can run out of.

const (
	descriptorLimit = 72
	strangers       = 100 // connections that ask for nothing
)

func resourceDays() []*badDay {
	return []*badDay{
		{
			name: "the storage is full at the start", root: true, once: true, ended: true, open: withStorage, strike: storageFullAtStart,
			expect: "the log says why; when there is room, a certificate is ordered without that anybody helps",
		},
		{
			name: "the storage is full when a certificate is near its end", root: true, once: true, open: withStorage,
			strike: func(s *scene) { storageFails(s, "no space left", s.fillStorage, s.emptyStorage) },
			expect: "the log says why, nothing that runs notices; when there is room, the certificate is renewed",
		},
		{
			name: "the storage is read-only when a certificate is near its end", root: true, once: true, open: withStorage,
			strike: func(s *scene) {
				storageFails(s, "read-only file system", func() { s.remount("ro") }, func() { s.remount("rw") })
			},
			expect: "the log says why, nothing that runs notices; when it can be written, the certificate is renewed",
		},
		{
			name: "descriptors are exhausted", quick: true, strike: descriptorsExhausted,
			open: func(s *scene) {
				s.keysFile()
				s.openProxy(harness.ProxyOptions{
					Access:  "  keysFile: " + s.files.keys + "\n",
					Through: []string{"prlimit", fmt.Sprintf("--nofile=%d:%d", descriptorLimit, descriptorLimit)},
				})
			},
			expect: "an ERROR in the log, nothing that runs notices; a key file that changes meanwhile is taken at the latest when the strangers have gone",
		},
	}
}

func (s *scene) storage() string { return filepath.Join(s.files.folder, "storage") }

// withStorage has the proxy in a mount namespace of its own, where its storage is a small file system. It starts full if the
// file "full" is there.
func withStorage(s *scene) {
	s.files.folder = s.TempDir()
	s.must(os.Mkdir(s.storage(), 0o700))
	s.ca = harness.StartAuthority(s, certificateLife)
	options := s.ca.Options(s.storage())
	script := `mount -t tmpfs -o size=1m none "$STORAGE" && { [ ! -e "$FULL" ] || cat /dev/zero > "$STORAGE/filler" 2>/dev/null; exec "$@"; }`
	options.Through = []string{"env", "STORAGE=" + s.storage(), "FULL=" + filepath.Join(s.files.folder, "full"), "unshare", "-m", "sh", "-c", script, "sh"}
	s.openFor(options)
}

// inside is a path as the proxy sees it.
func (s *scene) inside(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.proxy.PID, path)
}

func (s *scene) fillStorage() {
	s.Helper()
	err := os.WriteFile(s.inside(filepath.Join(s.storage(), "filler")), make([]byte, 2<<20), 0o600)
	if err == nil {
		s.Fatal("the storage can't be filled")
	}
}

func (s *scene) emptyStorage() {
	s.Helper()
	s.must(os.Remove(s.inside(filepath.Join(s.storage(), "filler"))))
}

func (s *scene) remount(how string) {
	s.Helper()
	output, err := exec.Command("nsenter", "-t", fmt.Sprint(s.proxy.PID), "-m", "mount", "-o", "remount,"+how, s.storage()).CombinedOutput()
	if err != nil {
		s.Fatalf("%v: %s", err, output)
	}
}

func storageFullAtStart(s *scene) {
	s.must(os.WriteFile(filepath.Join(s.files.folder, "full"), nil, 0o600))
	s.proxy.Kill()
	mark := s.proxy.Log.Mark()
	s.restart()
	s.proxy.Log.Await(s, mark, "no space left")
	if s.certificate(harness.Domain) != nil {
		s.Error("there is a certificate already")
	}
	s.emptyStorage()
	s.awaitCertificate()
}

func storageFails(s *scene, reason string, fail, mend func()) {
	tr := s.begin()
	defer tr.end()
	before := s.certificate(harness.Domain)
	mark := s.proxy.Log.Mark()
	fail()
	s.proxy.Log.Await(s, mark, reason)
	s.wantStatus(harness.Key, http.StatusOK)
	mend()
	s.awaitOther(before, harness.Domain)
	tr.wantWhole()
	tr.wantSocket()
}

func descriptorsExhausted(s *scene) {
	tr := s.begin()
	defer tr.end()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range strangers {
		conn, err := net.Dial("tcp", s.proxy.Address)
		s.must(err)
		conns = append(conns, conn)
	}
	const sinceStart = 0 // it is said once a minute at most, so a later round finds the line of the first
	s.proxy.Log.Await(s, sinceStart, "too many open files")
	if log := s.proxy.Log.String(); !strings.Contains(log, "level=ERROR") {
		s.Error("that descriptors are exhausted is no error in the log")
	}
	// It may well be that the file can't be opened now.
	s.writeKeys("phone:" + harness.Key + "\nother:" + otherKey + "\n")
	tr.wantWhole()
	tr.wantSocket()
	for _, c := range conns {
		c.Close()
	}
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(harness.Key, http.StatusOK)
	s.writeKeys("phone:" + harness.Key + "\n")
	s.awaitStatus(otherKey, http.StatusForbidden)
}
