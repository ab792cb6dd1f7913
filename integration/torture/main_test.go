// Package torture gives the proxy bad days, each with uploads, downloads and a WebSocket running, and looks whether any
// answer is lost or wrong, and whether all is well afterwards.
package torture

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

var (
	whole      = flag.Bool("whole", false, "run every bad day, some of which need root, instead of those that are quick")
	rounds     = flag.Int("rounds", 1, "how often each bad day is repeated")
	reportFile = flag.String("report", "", "write what was tried, and with what result, to this file")
)

func TestMain(m *testing.M) {
	harness.Main(func() int {
		flag.Parse()
		code := m.Run()
		if *reportFile == "" {
			return code
		}
		if err := results.write(*reportFile, code == 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	})
}
