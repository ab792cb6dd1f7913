package main

import (
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// initIn runs init without a terminal, and with --yes.
func initIn(t *testing.T, dir string, args ...string) (code int, out, errOut string) {
	t.Helper()
	immich := httptest.NewServer(fakeimmich.New())
	t.Cleanup(immich.Close)
	return runCommand(append([]string{"init", "--yes", "--directory=" + dir, "--upstream=" + immich.URL}, args...)...)
}

func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "directory")
	code, out, errOut := initIn(t, dir, "--domain=photos.example.com", "--keyName=tablet")
	if code != exitGood {
		t.Fatalf("exit code %d\n%s\n%s", code, out, errOut)
	}
	secret := regexp.MustCompile(`header value    (\S+)\n    server address  https://photos.example.com\n`).FindStringSubmatch(out)
	if secret == nil || strings.Count(out, secret[1]) != 2 {
		t.Errorf("the secret is not shown, or too often:\n%s", out)
	}
	for _, line := range []string{
		"\nWritten:\n\n    " + dir + "/immichaccess.yml\n    " + dir + "/keys\n\n",
		"\nThe configuration is valid.\nreachable at: https://photos.example.com\n",
		"\nkeys in force: tablet\nopen without a key: none\n",
		" --configFile=" + dir + "/immichaccess.yml\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	for name, mode := range map[string]os.FileMode{"immichaccess.yml": 0o644, "keys": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.Contains(string(content), secret[1]) {
			t.Errorf("%v, or %s has the secret", err, name)
		}
	}
}

func TestInitShowsTheLinkWithBrowserLogin(t *testing.T) {
	t.Parallel()
	code, out, errOut := initIn(t, t.TempDir(), "--domain=photos.example.com", "--browserLogin")
	if code != exitGood || !strings.Contains(out, "\n    https://photos.example.com/.immichaccess#") || !strings.Contains(out, "▄") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
}

func TestInitReplacesNothing(t *testing.T) {
	t.Parallel()
	for _, existing := range []string{"immichaccess.yml", "keys"} {
		dir := t.TempDir()
		file := filepath.Join(dir, existing)
		if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errOut := initIn(t, dir, "--domain=photos.example.com")
		if code != exitFailed || !strings.HasPrefix(errOut, "immichaccess: init: create "+file+": file exists; nothing was written: --force replaces") {
			t.Errorf("exit code %d\n%s", code, errOut)
		}
		if !strings.Contains(out, "\nThis was not written:\n\n"+dir+"/immichaccess.yml:\n\n    # Written by") || !strings.Contains(out, "\n      - photos.example.com\n") {
			t.Errorf("it does not show what it would have written:\n%s", out)
		}
		if strings.Contains(out, "header value") || strings.Contains(out, "sha256:") {
			t.Errorf("it shows a key that does not exist:\n%s", out)
		}
		entries, err := os.ReadDir(dir)
		if content, _ := os.ReadFile(file); err != nil || len(entries) != 1 || string(content) != "mine" {
			t.Errorf("%v, %v: %q", err, entries, content)
		}

		if code, _, errOut := initIn(t, dir, "--force"); code != exitGood {
			t.Errorf("--force: exit code %d\n%s", code, errOut)
		}
		if content, err := os.ReadFile(file + ".old"); err != nil || string(content) != "mine" {
			t.Errorf("%v: %q", err, content)
		}
	}
}

// Without the provider's variables the configuration is incomplete, as it has to be at first.
func TestInitWithDNS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errOut := initIn(t, dir, "--domain=photos.example.com", "--certificate=dns", "--provider=duckdns")
	if code != exitGood || !strings.Contains(out, "\nThe configuration is not checked yet: duckdns needs DUCKDNS_TOKEN") || !strings.Contains(out, "Fill in "+dir+"/immichaccess.env") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
}

func TestInitUsage(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"init: --domain is missing":                           {"--directory=/nowhere"},
		"init: --provider is missing":                         {"--yes", "--domain=photos.example.com", "--certificate=dns"},
		"init: --domain: allowed is a host name":              {"--yes", "--domain=https://photos.example.com"},
		"init: --email has no effect":                         {"--yes", "--email=you@example.com"},
		"init: flag provided but not defined: -domains":       {"--domains=photos.example.com"},
		`init: "photos.example.com" is not an option`:         {"photos.example.com"},
		`init: --browserLogin: "maybe" is neither yes nor no`: {"--yes", "--browserLogin=maybe"},
	} {
		code, out, errOut := runCommand(append([]string{"init"}, args...)...)
		if code != exitUsage || strings.Contains(out, "Written") || !strings.Contains(errOut, want) {
			t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
		}
	}
}

func TestInitCannotWrite(t *testing.T) {
	t.Parallel()
	code, out, errOut := initIn(t, os.DevNull)
	if code != exitFailed || strings.Contains(out, "header value") || !strings.Contains(errOut, os.DevNull) {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
}

func TestHelpListsTheFlagsOfInit(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(help, "\nOptions of init")
	section, _, _ = strings.Cut(section, "\nSIGHUP")
	newInitFlags().set.VisitAll(func(f *flag.Flag) {
		if !regexp.MustCompile(`(?m)^  (\w+, )*` + f.Name + `\b`).MatchString(section) {
			t.Errorf("--%s is not in the help", f.Name)
		}
	})
}
