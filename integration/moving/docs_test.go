package moving_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

func page(t *testing.T) string {
	t.Helper()
	return harness.ReadFile(t, filepath.Join(harness.RepositoryDir(), "docs", "moving.md"))
}

// The page quotes what replaces a configuration, and links to the configuration.
func TestPageHasTheFiles(t *testing.T) {
	t.Parallel()
	page := page(t)
	examples := filepath.Join(harness.RepositoryDir(), "examples")
	for side, has := range map[string]func(name, content string) bool{
		"before": func(name, _ string) bool {
			return strings.Contains(page, "(../examples/"+name+")") || filepath.Base(name) == "access" // proxy_host.conf names it
		},
		"after": func(_, content string) bool { return strings.Contains(page, "```yaml\n"+content+"```\n") },
	} {
		files, err := filepath.Glob(filepath.Join(examples, "moving", "*", side, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, file := range files {
			name, err := filepath.Rel(examples, file)
			if err != nil {
				t.Fatal(err)
			}
			if !has(filepath.ToSlash(name), harness.ReadFile(t, file)) {
				t.Errorf("docs/moving.md does not have %s as it is", name)
			}
		}
	}
}

// The page tells the differences that users may notice, and no others.
func TestPageTellsTheDifferences(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(page(t), "## What is different afterwards")
	var told, want []string
	for _, row := range regexp.MustCompile(`(?m)^\| \*\*(.*?)\*\* \|`).FindAllStringSubmatch(table, -1) {
		told = append(told, row[1])
	}
	for _, d := range differences {
		if d.told && !slices.Contains(want, d.title) {
			want = append(want, d.title)
		}
	}
	slices.Sort(told)
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("docs/moving.md tells\n%s\nbut the differences are\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// The command that the page shows makes the digest that its configurations have.
func TestPageMakesTheDigest(t *testing.T) {
	t.Parallel()
	command := regexp.MustCompile("```sh\n +(.*)\n").FindStringSubmatch(page(t))
	if command == nil {
		t.Fatal("there is no command")
	}
	digest, err := exec.Command("bash", "-euc", command[1]).CombinedOutput()
	if err != nil || !strings.Contains(page(t), ":sha256:"+strings.TrimSpace(string(digest))+"\n") {
		t.Errorf("the page does not have %s, %v", digest, err)
	}
}
