package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// leavesProgram names, in the environment of another run of this test, the file for the ID of the program that it starts.
const leavesProgram = "TEST_LEAVES_PROGRAM"

// A test that exceeds its time runs no cleanups.
func TestProgramsEndWithTheTestsProcess(t *testing.T) {
	t.Parallel()
	if file := os.Getenv(leavesProgram); file != "" {
		ReplaceFile(t, file, strconv.Itoa(Start(t, Tool(t, "sleep"), "3600").Pid))
		select {}
	}
	file := filepath.Join(t.TempDir(), "pid")
	self := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	self.Env = append(os.Environ(), leavesProgram+"="+file)
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	Await(t, "the program", func() bool { _, err := os.Stat(file); return err == nil })
	pid := ReadFile(t, file)
	if err := self.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = self.Wait()
	if !Eventually(func() bool { return !runs(pid) }) {
		t.Error("the program still runs")
		number, _ := strconv.Atoi(pid)
		_ = syscall.Kill(number, syscall.SIGKILL)
	}
}

// runs is false of a process that has ended, even while nobody has waited for it.
func runs(pid string) bool {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	return err == nil && !strings.Contains(string(status), "\nState:\tZ")
}
