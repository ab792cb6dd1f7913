//go:build slow && linux

package docker

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
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

// testUnits installs and runs the units of examples/standalone as the documentation says, under a separate systemd, in a container that
// has the programs of this machine.
func testUnits(t *testing.T, e *engine) {
	m := startMachineWithClone(t, e)
	t.Run("with the example's configuration", m.testExample)
	t.Run("with files that only root can read", m.testSecrets)
}

// steps are the commands of the documentation: to install the service, to give it a certificate, and to let it read the keys.
func steps(t *testing.T) (install []string, certificate, group string) {
	t.Helper()
	_, section, _ := strings.Cut(harness.ReadFile(t, harness.RepositoryDir()+"/docs/standalone.md"), "\n## As a systemd service\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?ms)^```shell\n(.*?)^```$").FindAllStringSubmatch(section, -1)
	if len(blocks) != 3 {
		t.Fatalf("the documentation has %d blocks of commands", len(blocks))
	}
	return strings.SplitAfter(strings.TrimSpace(blocks[0][1]), "\n"), blocks[1][1], blocks[2][1]
}

// testExample has no file of keys: it replaces the step that writes one.
func (m *machine) testExample(t *testing.T) {
	install, _, _ := steps(t)
	for _, step := range install {
		switch {
		case step == initStep:
			m.shell(t, "install -D -m 644 -t /etc/immichaccess examples/standalone/immichaccess.yml")
		case strings.HasPrefix(step, "systemctl enable"):
			units := strings.Fields(step)
			if printed := m.run(t, append([]string{"systemd-analyze", "verify", "--man=no"}, units[3:]...)...); printed != "" {
				t.Error(printed)
			}
			m.run(t, "systemd-analyze", "security", "--threshold=20", "immichaccess.service") // tenths, of 10
			m.run(t, units...)
		default:
			m.shell(t, step)
		}
	}
	before := awaitPebblesCertificate(t, m.engine, m.address+":443") // so the storage is writable
	checkKeyedEntryPoint(t, m.engine, "https://"+m.address)
	m.checkReload(t)

	m.run(t, "systemctl", "restart", "immichaccess.service")
	if after := awaitPebblesCertificate(t, m.engine, m.address+":443"); after != before {
		t.Error("there is a new certificate after a restart, so the old one was not kept")
	}
	m.run(t, "systemctl", "stop", "immichaccess.service")
	if result := m.run(t, "systemctl", "show", "--property=Result", "immichaccess.service"); result != "Result=success" {
		t.Error(result)
	}
}

const initStep = "immichaccess init\n"

// testSecrets has init write the file of keys, and adds a certificate.
func (m *machine) testSecrets(t *testing.T) {
	install, certificate, group := steps(t)
	if !slices.Contains(install, initStep) {
		t.Fatalf("the documentation has no step %q", initStep)
	}
	m.shell(t, "rm -f /etc/immichaccess/immichaccess.yml")
	printed := m.shell(t, strings.TrimSpace(initStep)+" --yes")
	m.wantRootOnly(t, "/etc/immichaccess/keys")
	first := regexp.MustCompile(`header value +(\S+)`).FindStringSubmatch(printed)
	if first == nil {
		t.Fatalf("no key is shown: %s", printed)
	}
	own := t.TempDir()
	harness.WriteCertificate(t, filepath.Join(own, "certificate.pem"), filepath.Join(own, "certificate-key.pem"), harness.Domain)
	for _, name := range []string{"certificate.pem", "certificate-key.pem"} {
		put(t, m.etc, name, filepath.Join(own, name))
		m.wantRootOnly(t, "/etc/immichaccess/"+name)
	}
	m.shell(t, certificate)
	if uid := m.shell(t, "ps -o uid= -p $(systemctl show --property=MainPID --value immichaccess.service)"); strings.TrimSpace(uid) == "0" {
		t.Error("the service runs as root")
	}
	m.awaitStatus(t, first[1], http.StatusOK)
	m.awaitStatus(t, "", http.StatusForbidden)
	conn, err := m.engine.dialTLS(t.Context(), m.address+":443")
	if err != nil {
		t.Fatal(err)
	}
	if served := conn.ConnectionState().PeerCertificates[0]; !served.Equal(certificateIn(t, filepath.Join(own, "certificate.pem"))) {
		t.Errorf("it serves the certificate of %v", served.DNSNames)
	}
	_ = conn.Close()

	m.shell(t, "echo second:a-second-key-for-the-test >> /etc/immichaccess/keys && systemctl restart immichaccess.service")
	m.awaitStatus(t, "a-second-key-for-the-test", http.StatusOK)
	m.shell(t, group)
	m.awaitStatus(t, first[1], http.StatusOK)
	m.shell(t, "echo third:a-third-key-for-the-test >> /etc/immichaccess/keys")
	m.awaitStatus(t, "a-third-key-for-the-test", http.StatusOK)
}

func (m *machine) wantRootOnly(t *testing.T, path string) {
	t.Helper()
	if got := m.shell(t, "stat --format='%U:%G %a' "+path); got != "root:root 600" {
		t.Errorf("%s: %s", path, got)
	}
}

func certificateIn(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(harness.ReadFile(t, file)))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

const (
	unitsDir    = "../../examples/standalone"
	machineName = "machine"

	// boot becomes systemd. A machine has its mounts shared, but a container has not; without that, LoadCredential= shows the service nothing.
	boot = "mount --make-rshared /; exec /lib/systemd/systemd"
)

// machine is a container in which systemd is the first process.
type machine struct {
	engine  *engine
	etc     string // /etc/immichaccess, as a directory of this machine
	address string // its IP address
}

// startMachineWithClone has the files of a clone from which the documentation installs the service.
func startMachineWithClone(t *testing.T, e *engine) *machine {
	t.Helper()
	etc, local, clone := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Chmod(etc, 0o755); err != nil { // as init makes it
		t.Fatal(err)
	}
	put(t, clone, "build/immichaccess", harness.Binary(t))
	if err := os.CopyFS(filepath.Join(clone, "examples", "standalone"), os.DirFS(unitsDir)); err != nil {
		t.Fatal(err)
	}
	m := startMachine(t, e, t.TempDir(), []string{"--volume=" + local + ":/usr/local/bin", "--volume=" + etc + ":/etc/immichaccess",
		"--volume=" + clone + ":/clone:ro", "--workdir=/clone"}, boot)
	m.etc = etc
	return m
}

// startMachine starts a machine with the files of a directory, and the programs of this one. The boot script becomes systemd.
func startMachine(t *testing.T, e *engine, root string, options []string, boot string) *machine {
	t.Helper()
	machineImage(t, e, root)
	roots := startPebble(t, e)
	arguments := slices.Concat([]string{"run", "--detach", "--name=" + machineName, "--network=" + acmeNetwork, "--network-alias=" + harness.Domain,
		// systemd needs the capabilities of root; SYS_RESOURCE may not be available in a sandbox.
		"--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
		"--tmpfs=/run", "--tmpfs=/tmp", "--env=container=docker", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
		"--volume=/usr:/usr:ro", "--volume=" + roots + ":/roots.pem:ro"}, options, []string{"machine", "sh", "-euc", boot})
	e.docker(t, arguments...)
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
	m.address = e.inspect(t, machineName, "{{(index .NetworkSettings.Networks \""+acmeNetwork+"\").IPAddress}}")
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

func (m *machine) command(ctx context.Context, arguments ...string) *exec.Cmd {
	return m.engine.command(ctx, "docker", append([]string{"exec", machineName}, arguments...)...)
}

// run returns the command's output.
func (m *machine) run(t *testing.T, arguments ...string) string {
	t.Helper()
	return output(t, m.command(t.Context(), arguments...))
}

// shell runs a command line, in the clone.
func (m *machine) shell(t *testing.T, line string) string {
	t.Helper()
	return m.run(t, "sh", "-euc", line)
}

// checkReload adds a key to the configuration.
func (m *machine) checkReload(t *testing.T) {
	t.Helper()
	const added = "a-key-that-is-added-later"
	text := harness.ReadFile(t, filepath.Join(m.etc, "immichaccess.yml"))
	write(t, m.etc, "immichaccess.yml", strings.Replace(text, "  keys:\n", "  keys:\n    - later:"+added+"\n", 1))
	m.run(t, "systemctl", "reload", "immichaccess.service")
	m.awaitStatus(t, added, http.StatusOK)
}

// awaitStatus waits until a request with the key, or without one, gets the status.
func (m *machine) awaitStatus(t *testing.T, key string, want int) {
	t.Helper()
	client := m.engine.clients(t)["HTTP/2.0"]
	harness.Await(t, fmt.Sprintf("status %d with the key %q", want, key), func() bool {
		status, _, err := send(t.Context(), client, http.MethodGet, "https://"+m.address+"/api/server/ping", key, nil)
		return err == nil && status == want
	})
}
