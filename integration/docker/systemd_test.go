//go:build slow && linux

package docker

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// testUnits runs the units and the configuration of examples/standalone under a systemd of their own, in a container that
// has the programs of this machine.
func testUnits(t *testing.T, e *engine) {
	m := startMachineWithUnits(t, e)
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

	address := m.address(t)
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
	systemd     = "/lib/systemd/systemd"
)

// machine is a container in which systemd is the first process.
type machine struct {
	engine        *engine
	configuration string // the path of the file on this machine
}

// startMachineWithUnits has the files where the comment in immichaccess.service says.
func startMachineWithUnits(t *testing.T, e *engine) *machine {
	t.Helper()
	root, etc, local := t.TempDir(), t.TempDir(), t.TempDir()
	units, err := filepath.Glob(filepath.Join(unitsDir, "immichaccess*.s*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		put(t, root, filepath.Join("etc/systemd/system", filepath.Base(unit)), unit)
	}
	put(t, etc, "immichaccess.yml", filepath.Join(unitsDir, "immichaccess.yml"))
	put(t, local, "immichaccess", harness.Binary(t))
	m := startMachine(t, e, root, []string{"--volume=" + local + ":/usr/local/bin:ro", "--volume=" + etc + ":/etc/immichaccess:ro"}, systemd)
	m.configuration = filepath.Join(etc, "immichaccess.yml")
	return m
}

// startMachine has the files of a directory, and the programs of this machine. The command becomes systemd.
func startMachine(t *testing.T, e *engine, root string, options []string, command ...string) *machine {
	t.Helper()
	machineImage(t, e, root)
	roots := startPebble(t, e)
	arguments := slices.Concat([]string{"run", "--detach", "--name=" + machineName, "--network=" + acmeNetwork, "--network-alias=" + harness.Domain,
		// systemd needs the capabilities of root; SYS_RESOURCE may not be available in a sandbox.
		"--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
		"--tmpfs=/run", "--tmpfs=/tmp", "--env=container=docker", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
		"--volume=/usr:/usr:ro", "--volume=" + roots + ":/roots.pem:ro"}, options)
	e.docker(t, slices.Concat(arguments, []string{"machine"}, command)...)
	m := &machine{engine: e}
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

// machineImage adds what systemd needs in addition to /usr, and what the units need here: Pebble's address, and an Immich.
func machineImage(t *testing.T, e *engine, directory string) {
	t.Helper()
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, directory, "opt/immich", buildImmich(t))
	write(t, directory, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	write(t, directory, "etc/group", "root:x:0:\n")
	write(t, directory, "etc/machine-id", "")
	write(t, directory, "etc/systemd/system/default.target", "[Unit]\nRequires=sysinit.target immich.service\nAfter=sysinit.target\n")
	write(t, directory, "etc/systemd/system/immich.service", "[Service]\nExecStart=/opt/immich\n")
	write(t, directory, "etc/systemd/system/immichaccess.service.d/test.conf",
		"[Service]\nEnvironment=IMMICHACCESS_ACME_SERVER="+pebbleDirectory+" IMMICHACCESS_ACME_TRUSTEDROOTS=/roots.pem\n")
	e.image(t, "machine", directory, nil)
}

// address returns the one that it has in Pebble's network.
func (m *machine) address(t *testing.T) string {
	t.Helper()
	return m.engine.inspect(t, machineName, "{{(index .NetworkSettings.Networks \""+acmeNetwork+"\").IPAddress}}")
}

func (m *machine) command(ctx context.Context, arguments ...string) *exec.Cmd {
	return m.engine.command(ctx, "docker", append([]string{"exec", machineName}, arguments...)...)
}

// run returns what the command prints.
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
