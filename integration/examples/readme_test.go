package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/integration/traefikconfig"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/static"
	"go.yaml.in/yaml/v3"
)

// The documentation is tested: its commands, its YAML and its links.

var documentation = []string{
	repository + "README.md", repository + "SECURITY.md", repository + "CONTRIBUTING.md",
	repository + "docs/clients.md", repository + "docs/options.md", repository + "docs/questions.md", repository + "docs/standalone.md",
	repository + "docs/behind-a-proxy.md", repository + "docs/relay.md", repository + "docs/home-and-away.md",
}

const repository = "../../" // relative to this package

// linked are further files, of which only the links are checked here: the doctor's page has its own test of the commands.
var linked = append(slices.Clone(documentation), repository+"CHANGELOG.md", repository+"docs/README.md", repository+"docs/doctor.md",
	repository+"docs/symptoms.md", repository+"docs/command-line.md", repository+"docs/moving.md", repository+"docs/scale.md",
	repository+"docs/metrics.md", repository+"examples/traefik/README.md")

var (
	fenced = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	link   = regexp.MustCompile(`(?:\]\(|src="|srcset=")([^)"]+)`)
)

// eachBlock runs a test for each fenced block of a language in the documentation.
func eachBlock(t *testing.T, language string, test func(t *testing.T, block string)) {
	t.Helper()
	count := 0
	for _, file := range documentation {
		for i, match := range fenced.FindAllStringSubmatch(harness.ReadFile(t, file), -1) {
			if match[1] == language {
				count++
				t.Run(fmt.Sprint(filepath.Base(file), "/", i), func(t *testing.T) { test(t, match[2]) })
			}
		}
	}
	if count == 0 {
		t.Errorf("the documentation has no block of %s", language)
	}
}

// The targets of make are run by CI, and the demos by TestDemos.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	eachBlock(t, "sh", func(t *testing.T, script string) {
		command := exec.Command("bash", "-euc", script)
		command.Dir = repository
		if target, isMake := strings.CutPrefix(script, "make "); isMake {
			command = exec.Command("make", "-C", repository, "--dry-run", strings.TrimSpace(target))
		}
		if output, err := command.CombinedOutput(); err != nil || len(output) == 0 {
			t.Errorf("%s%v: %s", script, err, output)
		}
	})
}

// A block of YAML begins with the name of the file it belongs to.
func TestDocumentedYAML(t *testing.T) {
	t.Parallel()
	eachBlock(t, "yaml", func(t *testing.T, block string) {
		name, _, _ := strings.Cut(strings.TrimPrefix(block, "# "), "\n")
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		checkDocumentedFile(t, name, path)
	})
}

func checkDocumentedFile(t *testing.T, name, path string) {
	t.Helper()
	switch name {
	case "traefik.yml":
		config := new(static.Configuration)
		traefikconfig.DecodeStatic(t, path, config)
		traefikconfig.CheckPluginSource(t, config.Experimental)
	case "dynamic.yml":
		wantExampleKey(t, traefikconfig.DecodeDynamic(t, path))
	case "docker-compose.yml":
		var compose struct {
			Services map[string]struct{ Labels []string }
		}
		if err := yaml.Unmarshal([]byte(harness.ReadFile(t, path)), &compose); err != nil {
			t.Fatal(err)
		}
		wantExampleKey(t, traefikconfig.DecodeLabels(t, compose.Services["immich-server"].Labels))
	case "immichaccess.yml":
		check := exec.Command("go", "run", "./cmd/standalone", "check", "--configFile="+path)
		check.Dir = repository
		if output, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	default:
		t.Errorf("there is no test for %s", name)
	}
}

func wantExampleKey(t *testing.T, config *dynamic.Configuration) {
	t.Helper()
	router := config.HTTP.Routers["immich"]
	if router == nil { // if only the middleware is shown
		router = &dynamic.Router{Middlewares: []string{"immich-key"}}
	}
	handler := traefikconfig.Handler(t, config, router)
	if without, with := traefikconfig.Status(handler, ""), traefikconfig.Status(handler, traefik.ExampleKey); without != http.StatusForbidden || with != http.StatusNoContent {
		t.Errorf("status %d without the key, %d with it", without, with)
	}
}

// A link leads to an existing file, and to an existing heading if it names one.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, file := range linked {
		for _, match := range link.FindAllStringSubmatch(harness.ReadFile(t, file), -1) {
			if strings.HasPrefix(match[1], "http") {
				continue
			}
			path, heading, _ := strings.Cut(match[1], "#")
			target := filepath.Join(filepath.Dir(file), path)
			if path == "" {
				target = file
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", file, err)
			} else if heading != "" && !slices.Contains(headings(t, target), heading) {
				t.Errorf("%s: there is no %s", file, match[1])
			}
		}
	}
}

// Each page of the documentation is in its index.
func TestDocumentationIndex(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(repository + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	index := harness.ReadFile(t, repository+"docs/README.md")
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

// The documentation shows one command that makes a key without immichaccess, the same in every file. The entry that it prints
// accepts the key that it prints.
func TestDocumentedKeyCommand(t *testing.T) {
	t.Parallel()
	makesKey := regexp.MustCompile(`(?m)key=\$\(openssl.*$`)
	want := makesKey.FindString(harness.ReadFile(t, repository+"README.md"))
	output, err := exec.Command("bash", "-euc", want).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", want, err, output)
	}
	made := regexp.MustCompile(`^key: +(\S+)\nentry: (\S+)\n$`).FindStringSubmatch(string(output))
	if made == nil {
		t.Fatalf("%q prints %q", want, output)
	}
	handler := traefikconfig.Handler(t, &dynamic.Configuration{HTTP: &dynamic.HTTPConfiguration{Middlewares: map[string]*dynamic.Middleware{
		"immich-key": {Plugin: map[string]dynamic.PluginConf{traefik.PluginName: {"keys": made[2]}}},
	}}}, &dynamic.Router{Middlewares: []string{"immich-key"}})
	if without, with := traefikconfig.Status(handler, ""), traefikconfig.Status(handler, made[1]); without != http.StatusForbidden || with != http.StatusNoContent {
		t.Errorf("status %d without the key, %d with it", without, with)
	}
	for _, file := range append(slices.Clone(linked), repository+"examples/traefik/dynamic.yml") {
		for _, command := range makesKey.FindAllString(harness.ReadFile(t, file), -1) {
			if command != want {
				t.Errorf("%s makes a key by %q, README.md by %q", file, command, want)
			}
		}
	}
}

// headings returns the anchors that GitHub gives the headings of a file.
func headings(t *testing.T, file string) []string {
	t.Helper()
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(harness.ReadFile(t, file), -1) {
		plain := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(match[1]), "")
		found = append(found, strings.ReplaceAll(plain, " ", "-"))
	}
	return found
}

// The README's table has each option, and no other.
func TestReadmeOptions(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(harness.ReadFile(t, repository+"README.md"), "## Options")
	table, _, _ = strings.Cut(table, "\n## ")
	options := map[string]any{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(table, -1) {
		options[row[1]] = nil
	}
	traefikconfig.PluginConfig(t, options)
	if all := traefikconfig.DynamicFile(t).HTTP.Middlewares["immich-every-option"].Plugin[traefik.PluginName]; len(options) != len(all) {
		t.Errorf("the README has %d options, the example %d", len(options), len(all))
	}
}

// The demos run, and so does each command that they print.
func TestDemos(t *testing.T) {
	traefik.MustBuild(t) // so that the demo need not build it
	for name, c := range map[string]struct {
		main    string
		args    []string
		last    string
		problem string // that the doctor finds: the certificate's
		want    []string
	}{
		"traefik": {
			"../demo", nil, "Stop with", "certificate-name",
			[]string{`"method":"GET"`, `"statusCode":403`, `{"res":"pong"}`, `"X-Forwarded-For":["127.0.0.1"]`, `"status":"created"`, `"uri":"/share/holiday"`},
		},
		"standalone": {
			repository + "cmd/standalone", []string{"demo", "--listen.https=" + harness.FreeAddress(t)}, "msg=listening", "certificate-self-signed",
			[]string{`"statusCode":403`, `{"res":"pong"}`, `"status":"created"`, `"X-Forwarded-For":["127.0.0.1"]`, `"uri":"/share/holiday"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			output := runDemo(t, c.main, c.args, c.last)
			link := regexp.MustCompile(`(https://\S+)/\.immichaccess#(\w+)`).FindStringSubmatch(output)
			if found := examine(t, link[1], link[2]); !slices.Equal(found, []string{c.problem}) {
				t.Errorf("the doctor finds %v", found)
			}
			commands := regexp.MustCompile(`(?m)^    (curl .*)$`).FindAllStringSubmatch(output, -1)
			if len(commands) != len(c.want) {
				t.Fatalf("%d commands:\n%s", len(commands), output)
			}
			for i, command := range commands {
				shell := exec.Command("bash", "-euc", command[1]+" --silent --show-error --max-time 20")
				shell.Dir = repository // where README.md is
				answer, err := shell.CombinedOutput()
				if err != nil || !bytes.Contains(answer, []byte(c.want[i])) {
					t.Errorf("%s\n%s\n%v", command[1], answer, err)
				}
			}
		})
	}
}

// examine returns the problems that the doctor finds in a deployment.
func examine(t *testing.T, url, key string) []string {
	t.Helper()
	program, err := harness.GoBuild(t.Context(), "immichaccess", harness.RepositoryDir(), "./cmd/standalone")
	if err != nil {
		t.Fatal(err)
	}
	output, _ := exec.CommandContext(t.Context(), program, "doctor", url, "--insecure", "--key="+key, "--json").Output() // a problem is an error
	var report struct {
		Findings []struct{ ID, Level string }
	}
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var problems []string
	for _, f := range report.Findings {
		if f.Level == "problem" || f.Level == "warning" {
			problems = append(problems, f.ID)
		}
	}
	return problems
}

// runDemo runs a demo until the test ends, and returns its output, up to the last text at least.
func runDemo(t *testing.T, main string, args []string, last string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "demo")
	if output, err := exec.Command("go", "build", "-C", main, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	// The standalone proxy would find this configuration. The demo must not: it could order certificates for its domains.
	installed := filepath.Join(filepath.Dir(program), "immichaccess.yml")
	if err := os.WriteFile(installed, []byte("domains: [photos.example.com]"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	demo := exec.CommandContext(ctx, program, args...)
	output := &harness.Log{}
	demo.Stdout, demo.Stderr = output, output
	demo.Cancel = func() error { return demo.Process.Signal(os.Interrupt) }
	demo.WaitDelay = 20 * time.Second
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		demo.Wait() // it was interrupted
	})
	if !harness.Eventually(func() bool { return output.Contains(last) }) {
		t.Fatalf("the demo does not start:\n%s", output)
	}
	return output.String()
}
