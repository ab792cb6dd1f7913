package differential

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var reportFile = flag.String("report", "", "add what was sent, and with what result, to the end of this file")

var beginReport sync.Once

const reportHead = `
## Requests, as the gateway and Immich read them

Generated requests over HTTP/1.1, HTTP/2 and HTTP/3 to a Node.js with Express that has every route of Immich's API and takes credentials
in Immich's order. No request without a key may reach a route that is not public, or carry a credential that is not the route's.

| way of running | seed | requests | in | reached Immich | findings |
|---|---|---|---|---|---|
`

// addToReport writes a line of the table, and its head before the first.
func (r *run) addToReport(sent uint64) {
	if *reportFile == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	arrived := 0
	for _, n := range r.arrived {
		arrived += n
	}
	line := fmt.Sprintf("| %s | %d | %d | %s | %d | %d |\n", r.gateway.name, *seed, sent, *duration, arrived, len(r.findings))
	beginReport.Do(func() { line = reportHead + line })
	if err := appendTo(*reportFile, line); err != nil {
		r.t.Error(err)
	}
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// The report has the table's head once, and a line for each gateway.
func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tested.md")
	before := *reportFile
	*reportFile = path
	defer func() { *reportFile = before; beginReport = sync.Once{} }()
	for _, name := range []string{"standalone", "Traefik"} {
		(&run{t: t, gateway: gateway{name: name}, arrived: map[kind]int{}}).addToReport(7)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "## Requests") != 1 || !strings.Contains(string(text), "| standalone |") || !strings.Contains(string(text), "| Traefik |") {
		t.Errorf("%s, %v", text, err)
	}
}
