package torture

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// A machine runs out of resources.

const (
	descriptorLimit = 72
	idleConnections = 100 // that make no request
)

func resourceScenarios() []*scenario {
	return []*scenario{
		{
			name: "the storage is full at the start", root: true, once: true, endsProxy: true, setUp: withStorage, inject: storageFullAtStart,
			expect: "the log says why; when there is space, a certificate is ordered without intervention",
		},
		{
			name: "the storage is full when a certificate is about to expire", root: true, once: true, setUp: withStorage,
			inject: func(s *testRun) { storageFails(s, "no space left", s.fillStorage, s.emptyStorage) },
			expect: "the log says why, running transfers are not affected; when there is space, the certificate is renewed",
		},
		{
			name: "the storage is read-only when a certificate is about to expire", root: true, once: true, setUp: withStorage,
			inject: func(s *testRun) {
				storageFails(s, "read-only file system", func() { s.remount("ro") }, func() { s.remount("rw") })
			},
			expect: "the log says why, running transfers are not affected; when it is writable, the certificate is renewed",
		},
		{
			name: "file descriptors are exhausted", quick: true, inject: descriptorsExhausted,
			setUp: func(s *testRun) {
				s.keysFile()
				s.startProxy(testbed.ProxyOptions{
					Access:  "  keysFile: " + s.files.keys + "\n",
					Through: []string{"prlimit", fmt.Sprintf("--nofile=%d:%d", descriptorLimit, descriptorLimit)},
				})
			},
			expect: "an ERROR in the log, running transfers are not affected; a key file that changes meanwhile is read at the latest when the idle connections are closed",
		},
	}
}

func (s *testRun) storage() string { return filepath.Join(s.files.folder, "storage") }

// withStorage starts the proxy in its own mount namespace, where its storage is a small file system. It is full from the start
// if the file "full" exists.
func withStorage(s *testRun) {
	s.files.folder = s.TempDir()
	s.must(os.Mkdir(s.storage(), 0o700))
	s.ca = testbed.StartCA(s, certificateLifetime)
	options := s.ca.Options(s.storage())
	script := `mount -t tmpfs -o size=1m none "$STORAGE" && { [ ! -e "$FULL" ] || cat /dev/zero > "$STORAGE/filler" 2>/dev/null; exec "$@"; }`
	options.Through = []string{"env", "STORAGE=" + s.storage(), "FULL=" + filepath.Join(s.files.folder, "full"), "unshare", "-m", "sh", "-c", script, "sh"}
	s.startProxyWithDomain(options)
}

// inside is a path in the mount namespace of the proxy.
func (s *testRun) inside(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", s.proxy.Pid, path)
}

func (s *testRun) fillStorage() {
	s.Helper()
	err := os.WriteFile(s.inside(filepath.Join(s.storage(), "filler")), make([]byte, 2<<20), 0o600)
	if err == nil {
		s.Fatal("the storage can't be filled")
	}
}

func (s *testRun) emptyStorage() {
	s.Helper()
	s.must(os.Remove(s.inside(filepath.Join(s.storage(), "filler"))))
}

func (s *testRun) remount(how string) {
	s.Helper()
	output, err := exec.Command("nsenter", "-t", fmt.Sprint(s.proxy.Pid), "-m", "mount", "-o", "remount,"+how, s.storage()).CombinedOutput()
	if err != nil {
		s.Fatalf("%v: %s", err, output)
	}
}

func storageFullAtStart(s *testRun) {
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

func storageFails(s *testRun, reason string, fail, repair func()) {
	tr := s.startTraffic()
	defer tr.stop()
	before := s.certificate(harness.Domain)
	mark := s.proxy.Log.Mark()
	fail()
	s.proxy.Log.Await(s, mark, reason)
	s.wantStatus(testbed.Key, http.StatusOK)
	repair()
	s.awaitOtherCertificate(before, harness.Domain)
	tr.wantComplete()
	tr.wantSocket()
}

func descriptorsExhausted(s *testRun) {
	tr := s.startTraffic()
	defer tr.stop()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range idleConnections {
		conn, err := net.Dial("tcp", s.proxy.Address)
		s.must(err)
		conns = append(conns, conn)
	}
	const sinceStart = 0 // it is logged once a minute at most, so a later round finds the line of the first
	s.proxy.Log.Await(s, sinceStart, "too many open files")
	if log := s.proxy.Log.String(); !strings.Contains(log, "level=ERROR") {
		s.Error("the log has no error about exhausted file descriptors")
	}
	// The proxy may be unable to open the file now.
	s.writeKeys("phone:" + testbed.Key + "\nother:" + otherKey + "\n")
	tr.wantComplete()
	tr.wantSocket()
	for _, c := range conns {
		c.Close()
	}
	s.awaitStatus(otherKey, http.StatusOK)
	s.wantStatus(testbed.Key, http.StatusOK)
	s.writeKeys("phone:" + testbed.Key + "\n")
	s.awaitStatus(otherKey, http.StatusForbidden)
}
