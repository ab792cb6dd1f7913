//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These run make as a user does. They take turns, since each writes build/immichaccess.

func TestMakeInstall(t *testing.T) {
	for name, c := range map[string]struct{ variable, binary string }{
		"with PREFIX": {"PREFIX=", "bin/immichaccess"},
		"with GOBIN":  {"GOBIN=", "immichaccess"},
		"with GOPATH": {"GOPATH=", "bin/immichaccess"},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			install := exec.CommandContext(t.Context(), "make", "-C", "../..", "install")
			install.Env = append(os.Environ(), "PREFIX=", "DESTDIR=", "GOBIN=", "GOFLAGS=-mod=vendor", c.variable+directory)
			if output, err := install.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			output, err := exec.CommandContext(t.Context(), filepath.Join(directory, c.binary), "version").CombinedOutput()
			if err != nil || !strings.HasPrefix(string(output), "immichaccess ") {
				t.Errorf("%v: %s", err, output)
			}
		})
	}
}

func TestMakeReleaseNotes(t *testing.T) {
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`(?m)^## (\S+)`).FindSubmatch(changelog)
	notes := func(version string) (string, error) {
		output, err := exec.CommandContext(t.Context(), "make", "-s", "-C", "../..", "release-notes", "VERSION="+version).CombinedOutput()
		return string(output), err
	}
	if printed, err := notes(string(heading[1])); err != nil || !strings.Contains(printed, "\n- ") || strings.Contains(printed, "\n## ") {
		t.Errorf("%v: %s", err, printed)
	}
	if printed, err := notes("v0.0.0"); err == nil || !strings.Contains(printed, "no section on v0.0.0") {
		t.Errorf("a version that CHANGELOG.md does not have: %v: %s", err, printed)
	}
}

// Ctrl+C reaches make and the demo alike. It is not a failure, so make has nothing to say.
func TestMakeDemoIsInterrupted(t *testing.T) {
	demo := exec.Command("make", "-C", "../..", "--no-print-directory", "demo", "ARGS=--listen.https=127.0.0.1:0 --http3=false")
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var output safeBuffer
	demo.Stdout, demo.Stderr = &output, &output
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-demo.Process.Pid, syscall.SIGKILL) })

	for deadline := time.Now().Add(3 * time.Minute); !strings.Contains(output.String(), "msg=listening"); {
		if time.Now().After(deadline) || len(ended) > 0 {
			t.Fatalf("the demo does not start:\n%s", output.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := syscall.Kill(-demo.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("the demo does not stop:\n%s", output.String())
	}
	// What make says of a target that has failed. At times it complains of itself: wait: No child processes.
	const failed = "*** ["
	if text := output.String(); !strings.Contains(text, "msg=stopped") || strings.Contains(text, failed) {
		t.Error(text)
	}
}

type safeBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}
