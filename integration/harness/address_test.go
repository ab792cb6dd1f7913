package harness

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// seeksFrom has, in the environment of another run of this test, the port from which it looks for a free one.
const seeksFrom = "TEST_SEEKS_FROM"

// Two packages' tests run at the same time, and a port is free until its program listens.
func TestOtherProcessesGetOtherAddresses(t *testing.T) {
	if text := os.Getenv(seeksFrom); text != "" {
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		ports.next = port - firstPort
		t.Log("address=" + FreeAddress(t))
		return
	}
	address := FreeAddress(t)
	self := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run=^"+t.Name()+"$")
	self.Env = append(os.Environ(), seeksFrom+"="+strconv.Itoa(Port(t, address)))
	output, err := self.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "address=127.0.0.1:") || strings.Contains(string(output), address) {
		t.Errorf("%s is taken: %v\n%s", address, err, output)
	}
}
