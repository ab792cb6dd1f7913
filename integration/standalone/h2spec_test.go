package standalone

import (
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// The tests of h2spec that fail, as they should.
var notForUs = []string{
	// RFC 7540, section 5.3.1. RFC 9113, section 5.3.2, has no priorities any more.
	"Sends HEADERS frame that depend on itself",
	"Sends PRIORITY frame that depend on itself",
	// RFC 9113, section 8.1.1, allows a response before the reset: 400 says what is wrong.
	"Sends a HEADERS frame that contains the connection-specific header field",
	`Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`,
	// The stream may have ended before the second frame comes, since the response is short.
	"Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
}

// TestHTTP2ConformsToTheRFC has h2spec examine HTTP/2, as a client without the key sees it.
func TestHTTP2ConformsToTheRFC(t *testing.T) {
	t.Parallel()
	d := startTarget(t)
	report := filepath.Join(t.TempDir(), "report.xml")
	host, port, err := net.SplitHostPort(d.address)
	if err != nil {
		t.Fatal(err)
	}
	h2spec := harness.MustGoBuild(t, "h2spec", harness.ModuleDir(), "github.com/summerwind/h2spec/cmd/h2spec")
	arguments := []string{"--host", host, "--port", port, "--tls", "--insecure", "--strict", "--timeout", "5", "--junit-report", report}
	output, err := exec.CommandContext(t.Context(), h2spec, arguments...).CombinedOutput()
	content, readErr := os.ReadFile(report)
	if readErr != nil {
		t.Fatalf("%v, %v\n%s", err, readErr, output)
	}
	passed := 0
	for _, c := range readReport(t, content) {
		switch failed := c.Failure != nil || c.Error != nil; {
		case !failed:
			passed++
		case !slices.Contains(notForUs, c.Name):
			t.Errorf("%s, %s: %+v", c.Section, c.Name, c)
		}
	}
	if least := 140; passed < least {
		t.Errorf("%d passed, of at least %d", passed, least)
	}
}

// specCase is a test in the report.
type specCase struct {
	Section string  `xml:"package,attr"`
	Name    string  `xml:"classname,attr"`
	Failure *string `xml:"failure"`
	Error   *string `xml:"error"`
}

func readReport(t *testing.T, content []byte) (cases []specCase) {
	t.Helper()
	var report struct {
		Suites []struct {
			Cases []specCase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	for _, suite := range report.Suites {
		cases = append(cases, suite.Cases...)
	}
	return cases
}
