package doctor_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/doctor"
)

// command runs a script with the proxy's program and Docker in PATH, and the key in a file.
func (s *site) command(t *testing.T, script string) (code int, out, errOut string) {
	t.Helper()
	program := harness.Binary(t)
	if err := os.Symlink(program, filepath.Join(s.Dir, "immichaccess")); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(s.Dir, "key.txt"), accessKey+"\n")
	command := exec.CommandContext(t.Context(), "bash", "-euc", script)
	command.Dir = s.Dir
	command.Env = append(os.Environ(), "PATH="+s.Dir+":"+os.Getenv("PATH"), "TERM=xterm", "COLUMNS=80")
	var written, complained strings.Builder
	command.Stdout, command.Stderr = &written, &complained
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), written.String(), complained.String()
}

// trust puts the root certificate into root.pem.
func (s *site) trust(t *testing.T) {
	t.Helper()
	c := authority(t)
	s.install(t, c.issue(t, usual()))
	harness.WriteFile(t, filepath.Join(s.Dir, "root.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.root.Raw})))
}

func TestCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.trust(t)
	runStandalone(t, s, s.fill(goodStandalone))
	address := "https://" + s.Addr + " --ca=root.pem"

	code, out, errOut := s.command(t, "immichaccess doctor "+address+" --keyFile=key.txt")
	if code != 0 || errOut != "" || !strings.Contains(out, "All is well.") || strings.Contains(out+errOut, accessKey) || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d\n%s%s", code, out, errOut)
	}

	code, out, errOut = s.command(t, "IMMICHACCESS_DOCTOR_KEY=$(cat key.txt) immichaccess doctor --json "+address)
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 || report.Broken() || strings.Contains(out+errOut, accessKey) {
		t.Errorf("exit code %d, %v\n%s%s", code, err, out, errOut)
	}

	if code, out, _ = s.command(t, "immichaccess doctor "+address); code != 1 || !strings.Contains(out, "key-needed") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestDocumentedCommands runs the commands of docs/doctor.md and docs/symptoms.md, with another address and another Docker.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	docs := harness.ReadFile(t, "../../docs/doctor.md") + harness.ReadFile(t, "../../docs/symptoms.md")
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(docs, -1)
	if len(blocks) < 3 {
		t.Fatalf("there are %d commands", len(blocks))
	}
	for _, block := range blocks {
		s := newSite(t)
		s.trust(t)
		runStandalone(t, s, s.fill(goodStandalone))
		logFile := filepath.Join(s.Dir, "immich.log")
		harness.WriteFile(t, logFile, "")
		go s.copyLog(logFile)
		docker := "#!/bin/sh\nexec tail -f " + logFile + " --pid=$PPID\n"
		if err := os.WriteFile(filepath.Join(s.Dir, "docker"), []byte(docker), 0o700); err != nil {
			t.Fatal(err)
		}
		script := strings.ReplaceAll(block[1], "https://photos.example.com", "https://"+s.Addr+" --ca=root.pem")
		code, out, errOut := s.command(t, script)
		if code != 0 || !strings.Contains(out, "All is well.") {
			t.Errorf("%s: exit code %d\n%s%s", block[1], code, out, errOut)
		}
		if strings.Contains(script, "--immichLog") && !strings.Contains(out, "Immich's log says 127.0.0.1") {
			t.Errorf("%s\n%s", block[1], out)
		}
	}
}

// copyLog writes Immich's log into a file.
func (s *site) copyLog(file string) {
	for line := range s.log.lines {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return // the test is over
		}
		_, _ = f.Write(line)
		f.Close()
	}
}
