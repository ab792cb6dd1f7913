//go:build slow && linux

package docker

import (
	"debug/elf"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
)

// TestRelease examines what make release-snapshot has built.
func TestRelease(t *testing.T) {
	t.Run("checksums", func(t *testing.T) { testChecksums(t) })
	t.Run("archives", func(t *testing.T) { testArchives(t) })
	t.Run("SBOM", func(t *testing.T) { testSBOM(t) })
	e := startEngine(t)
	t.Run("image for ARM", func(t *testing.T) { testImageForARM(t, e) })
	t.Run("Debian package", func(t *testing.T) { testDebianPackage(t, e) })
}

var distDir = filepath.Join(harness.RepositoryDir(), "dist")

// released returns the files of the release whose names match the pattern, of which there have to be so many.
func released(t *testing.T, pattern string, count int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(distDir, pattern))
	if err != nil || len(files) != count {
		t.Fatalf("there are %d files %s in %s, not %d, %v; has make release-snapshot been run?", len(files), pattern, distDir, count, err)
	}
	return files
}

func testChecksums(t *testing.T) {
	sums := released(t, "SHA256SUMS", 1)[0]
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", sums)
	check.Dir = distDir
	output(t, check)
	listed := harness.ReadFile(t, sums)
	for _, file := range slices.Concat(released(t, "*.tar.gz", 5), released(t, "*.deb", 3), released(t, "*.cdx.json", 5)) {
		if !strings.Contains(listed, "  "+filepath.Base(file)+"\n") {
			t.Errorf("SHA256SUMS does not contain %s", filepath.Base(file))
		}
	}
}

func testArchives(t *testing.T) {
	for _, platform := range []string{"linux_amd64", "linux_arm64", "linux_armv7", "darwin_amd64", "darwin_arm64"} {
		archive := released(t, "immichaccess_*_"+platform+".tar.gz", 1)[0]
		files := strings.Fields(output(t, exec.CommandContext(t.Context(), "tar", "--list", "--file="+archive)))
		directory := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
		for _, name := range []string{"immichaccess", "LICENSE", "THIRD_PARTY_LICENSES.md", "README.md", "examples/standalone/immichaccess.yml"} {
			if !slices.Contains(files, directory+"/"+name) {
				t.Errorf("%s does not contain %s", filepath.Base(archive), name)
			}
		}
	}
}

// testSBOM compares the modules of each binary with those whose licences are distributed.
func testSBOM(t *testing.T) {
	for _, file := range released(t, "*.cdx.json", 5) {
		var sbom struct {
			Components []struct{ Name, Version string }
		}
		if err := json.Unmarshal([]byte(harness.ReadFile(t, file)), &sbom); err != nil {
			t.Fatal(err)
		}
		licenses := harness.ReadFile(t, filepath.Join(harness.RepositoryDir(), "THIRD_PARTY_LICENSES.md"))
		names := []string{}
		for _, component := range sbom.Components {
			names = append(names, component.Name)
			if row := "| " + component.Name + " | " + component.Version + " |"; component.Name != "std" && !strings.Contains(licenses, row) {
				t.Errorf("%s has %s %s, which THIRD_PARTY_LICENSES.md does not list", filepath.Base(file), component.Name, component.Version)
			}
		}
		for _, name := range []string{"std", "github.com/caddyserver/certmagic"} {
			if !slices.Contains(names, name) {
				t.Errorf("%s does not list %s", filepath.Base(file), name)
			}
		}
	}
}

// testImageForARM sets what BuildKit does for --platform=linux/arm/v7.
func testImageForARM(t *testing.T, e *engine) {
	makeGoImage(t, e)
	e.docker(t, "build", "--build-arg=TARGETARCH=arm", "--tag=arm", harness.RepositoryDir())
	container := e.docker(t, "create", "arm")
	program := filepath.Join(t.TempDir(), "immichaccess")
	e.docker(t, "cp", container+":/usr/bin/immichaccess", program)
	binary, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	if binary.Machine != elf.EM_ARM {
		t.Errorf("the program is for %s", binary.Machine)
	}
}

func testDebianPackage(t *testing.T, e *engine) {
	e.programImage(t, pebbleImage, harness.BuildPebble(t))
	m := startMachineWithPackages(t, e)

	printed := m.run(t, "dpkg", "--install", "/packages/old.deb")
	enable := regexp.MustCompile(`(?m)^  (systemctl enable --now .*)$`).FindStringSubmatch(printed)
	if enable == nil {
		t.Fatalf("the package does not say how to enable the units:\n%s", printed)
	}
	units := strings.Fields(enable[1])[3:]
	m.wantUnits(t, "before there is a configuration", units, "inactive")

	m.run(t, "cp", "/usr/share/doc/immichaccess/examples/immichaccess.yml", "/etc/immichaccess/")
	m.run(t, strings.Fields(enable[1])...)
	address := m.address
	before := awaitPebblesCertificate(t, e, address+":443")
	checkKeyedEntryPoint(t, e, "https://"+address)

	process := m.run(t, "systemctl", "show", "--property=MainPID", "immichaccess.service")
	m.run(t, "dpkg", "--install", "/packages/new.deb")
	if m.run(t, "systemctl", "show", "--property=MainPID", "immichaccess.service") == process {
		t.Error("an upgrade did not restart the service")
	}
	m.wantUnits(t, "after an upgrade", units, "active")
	if after := awaitPebblesCertificate(t, e, address+":443"); after != before {
		t.Error("there is a new certificate after an upgrade, so the old one was not kept")
	}

	m.run(t, "dpkg", "--remove", "immichaccess")
	m.wantUnits(t, "after the removal", units, "inactive")
	m.run(t, "dpkg", "--install", "/packages/new.deb")
	want(t, "after a new installation, the key", e.clients(t)["HTTP/2.0"], http.MethodGet, "https://"+address+"/api/server/ping", traefik.ExampleKey, nil, http.StatusOK)

	m.run(t, "dpkg", "--purge", "immichaccess")
	m.wantUnits(t, "after a purge", units, "inactive")
	if left := m.run(t, "sh", "-c", "find / /usr -xdev -iname '*immichaccess*' -not -path '/etc/systemd/system/immichaccess.service.d*'"); left != "" {
		t.Errorf("a purge leaves these files:\n%s", left)
	}
}

// startMachineWithPackages has the package, as new.deb, and the same one with a lower version, as old.deb.
func startMachineWithPackages(t *testing.T, e *engine) *machine {
	t.Helper()
	packages, content, root := t.TempDir(), filepath.Join(t.TempDir(), "content"), t.TempDir()
	released := released(t, "immichaccess_*_"+runtime.GOARCH+".deb", 1)[0]
	put(t, packages, "new.deb", released)
	output(t, exec.CommandContext(t.Context(), "dpkg-deb", "--raw-extract", released, content))
	control := regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAllString(harness.ReadFile(t, filepath.Join(content, "DEBIAN/control")), "Version: 0.0.0~0")
	write(t, content, "DEBIAN/control", control)
	output(t, exec.CommandContext(t.Context(), "dpkg-deb", "--build", content, filepath.Join(packages, "old.deb")))
	write(t, root, "var/lib/dpkg/status", "")
	write(t, root, "var/lib/dpkg/info/format", "1\n")
	// What is written to /usr, which is this machine's, is kept apart. In a container, policy-rc.d forbids packages to start services.
	const prepare = "mkdir /upper/new /upper/work; mount -t overlay -o lowerdir=/usr,upperdir=/upper/new,workdir=/upper/work usr /usr; " +
		"rm -f /usr/sbin/policy-rc.d; "
	return startMachine(t, e, root, []string{"--volume=" + packages + ":/packages:ro", "--tmpfs=/upper"}, prepare+boot)
}

// wantUnits fails unless all the units are active, or inactive.
func (m *machine) wantUnits(t *testing.T, when string, units []string, state string) {
	t.Helper()
	for _, unit := range units {
		// The exit code says the same as what it prints.
		if printed, _ := m.command(t.Context(), "systemctl", "is-active", unit).Output(); strings.TrimSpace(string(printed)) != state {
			t.Errorf("%s, %s is %s", when, unit, strings.TrimSpace(string(printed)))
		}
	}
}
