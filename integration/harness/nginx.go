package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// StartNginx runs nginx until the test ends, and returns when it listens on all the addresses. The configuration is what goes into the
// http block.
func StartNginx(t testing.TB, config string, addresses ...string) {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "nginx.conf")
	var text strings.Builder
	if os.Getuid() == 0 {
		text.WriteString("user root;\n") // or it could not read the test's files
	}
	fmt.Fprintf(&text, "daemon off;\nmaster_process off;\npid %s;\nerror_log stderr warn;\n", filepath.Join(folder, "nginx.pid"))
	text.WriteString("events { worker_connections 256; }\nhttp {\naccess_log off;\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&text, "%s_temp_path %s;\n", kind, filepath.Join(folder, kind))
	}
	text.WriteString(config + "}\n")
	WriteFile(t, file, text.String())
	Start(t, Tool(t, "nginx"), "-c", file, "-p", folder, "-e", "stderr").AwaitListening(t, addresses...)
}
