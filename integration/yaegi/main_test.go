// Package yaegi runs the plugin in the interpreter that Traefik has built in.
package yaegi

import (
	"fmt"
	"os"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// TestMain changes to the directory with plugins-local, from where Traefik's code loads plugins.
func TestMain(m *testing.M) {
	if err := os.Chdir(harness.ModuleDir()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	harness.DiscardLogs()
	os.Exit(m.Run())
}
