// Package torture causes failures of the proxy and of everything around it, during uploads, downloads and a WebSocket. It checks whether any
// answer is lost or wrong, and whether everything works afterwards.
package torture

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

var (
	whole      = flag.Bool("whole", false, "run every scenario, some of which need root, instead of those that are quick")
	rounds     = flag.Int("rounds", 1, "how often each scenario is repeated")
	reportFile = flag.String("report", "", "write what was tried, and with what result, to this file")
)

func TestMain(m *testing.M) {
	testbed.Main(func() int {
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
