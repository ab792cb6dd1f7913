package harness

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// DocumentedCommands returns the blocks of shell commands in a section of a page, such as docs/scale.md.
func DocumentedCommands(t testing.TB, page, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(ReadFile(t, filepath.Join(RepositoryDir(), page)), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []string
	for _, match := range shellBlock.FindAllStringSubmatch(section, -1) {
		commands = append(commands, match[1])
	}
	if !found || len(commands) == 0 {
		t.Fatalf("%s has no commands under %q", page, heading)
	}
	return commands
}
