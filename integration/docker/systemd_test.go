//go:build slow && linux

package docker

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// testUnits runs the units and the configuration of examples/standalone under a separate systemd, in a container that has the
// programs of this machine.
func testUnits(t *testing.T, e *engine) {
	m := startMachine(t, e)
	comment := regexp.MustCompile(`(?m)^#   (systemctl enable .*)$`).FindStringSubmatch(harness.ReadFile(t, filepath.Join(unitsDir, "immichaccess.service")))
	if comment == nil {
		t.Fatal("immichaccess.service does not say how to enable the units")
	}
	units := strings.Fields(comment[1])
	if printed := m.run(t, append([]string{"systemd-analyze", "verify", "--man=no"}, units[3:]...)...); printed != "" {
		t.Error(printed)
	}
	m.run(t, "systemd-analyze", "security", "--threshold=20", "immichaccess.service") // tenths, of 10
	m.run(t, units...)

	address := e.inspect(t, machineName, "{{(index .NetworkSettings.Networks \""+acmeNetwork+"\").IPAddress}}")
	before := awaitPebblesCertificate(t, e, address+":443") // so the storage is writable
	checkKeyedEntryPoint(t, e, "https://"+address)
	m.checkReload(t, "https://"+address)

	m.run(t, "systemctl", "restart", "immichaccess.service")
	if after := awaitPebblesCertificate(t, e, address+":443"); after != before {
		t.Error("there is a new certificate after a restart, so the old one was not kept")
	}
	m.run(t, "systemctl", "stop", "immichaccess.service")
	if result := m.run(t, "systemctl", "show", "--property=Result", "immichaccess.service"); result != "Result=success" {
		t.Error(result)
	}
}

const (
	unitsDir    = "../../examples/standalone"
	machineName = "machine"
)

// machine is a container in which systemd is the first process.
type machine struct {
	engine        *engine
	configuration string // the path of the file on this machine
}

func startMachine(t *testing.T, e *engine) *machine {
	t.Helper()
	machineImage(t, e)
	etc := t.TempDir()
	put(t, etc, "immichaccess.yml", filepath.Join(unitsDir, "immichaccess.yml"))
	roots := startPebble(t, e)
	local := t.TempDir()
	put(t, local, "immichaccess", harness.Binary(t))
	put(t, local, "immich", buildImmich(t))
	e.docker(t, "run", "--detach", "--name="+machineName, "--network="+acmeNetwork, "--network-alias="+harness.Domain,
		// systemd needs the capabilities of root; SYS_RESOURCE may not be available in a sandbox.
		"--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
		"--tmpfs=/run", "--tmpfs=/tmp", "--env=container=docker", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
		"--volume=/usr:/usr:ro", "--volume="+local+":/usr/local/bin:ro", "--volume="+etc+":/etc/immichaccess:ro",
		"--volume="+roots+":/roots.pem:ro", "machine", "/lib/systemd/systemd")
	m := &machine{e, filepath.Join(etc, "immichaccess.yml")}
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := m.command(context.Background(), "journalctl", "--no-pager").CombinedOutput()
			t.Logf("the journal:\n%s", harness.Tail(string(journal)))
		}
		_ = e.command(context.Background(), "docker", "rm", "--force", "--volumes", machineName).Run()
	})
	harness.Await(t, "systemd", func() bool {
		return m.command(t.Context(), "systemctl", "is-active", "--quiet", "immich.service").Run() == nil
	})
	return m
}

// machineImage contains what systemd needs in addition to /usr, the units, and what the units need here: Pebble's address, and
// an Immich.
func machineImage(t *testing.T, e *engine) {
	t.Helper()
	directory := t.TempDir()
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, directory, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	write(t, directory, "etc/group", "root:x:0:\n")
	write(t, directory, "etc/machine-id", "")
	write(t, directory, "etc/systemd/system/default.target", "[Unit]\nRequires=sysinit.target immich.service\nAfter=sysinit.target\n")
	write(t, directory, "etc/systemd/system/immich.service", "[Service]\nExecStart=/usr/local/bin/immich\n")
	write(t, directory, "etc/systemd/system/immichaccess.service.d/test.conf",
		"[Service]\nEnvironment=IMMICHACCESS_ACME_SERVER="+pebbleDirectory+" IMMICHACCESS_ACME_TRUSTEDROOTS=/roots.pem\n")
	units, err := filepath.Glob(filepath.Join(unitsDir, "immichaccess*.s*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		put(t, directory, filepath.Join("etc/systemd/system", filepath.Base(unit)), unit)
	}
	e.image(t, "machine", directory, nil)
}

func (m *machine) command(ctx context.Context, arguments ...string) *exec.Cmd {
	return m.engine.command(ctx, "docker", append([]string{"exec", machineName}, arguments...)...)
}

// run returns the command's output.
func (m *machine) run(t *testing.T, arguments ...string) string {
	t.Helper()
	return output(t, m.command(t.Context(), arguments...))
}

// checkReload adds a key to the configuration.
func (m *machine) checkReload(t *testing.T, origin string) {
	t.Helper()
	const added = "a-key-that-is-added-later"
	text := harness.ReadFile(t, m.configuration)
	changed := strings.Replace(text, "  keys:\n", "  keys:\n    - later:"+added+"\n", 1)
	write(t, filepath.Dir(m.configuration), filepath.Base(m.configuration), changed)
	m.run(t, "systemctl", "reload", "immichaccess.service")
	client := m.engine.clients(t)["HTTP/2.0"]
	harness.Await(t, "the new key to be accepted", func() bool {
		status, _, err := send(t.Context(), client, http.MethodGet, origin+"/api/server/ping", added, nil)
		return err == nil && status == http.StatusOK
	})
}
