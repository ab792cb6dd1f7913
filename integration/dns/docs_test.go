package dns

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"go.yaml.in/yaml/v3"
)

// blocks returns the page's files by the name in their first line.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/certificates-without-an-open-port.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, match := range regexp.MustCompile("(?ms)^```\\w+\n# (\\S+)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		found[match[1]] = match[2]
	}
	return found
}

// Each file of the page is used by "immichaccess check", where the token that it names exists, and where it does not.
func TestDocumentedFiles(t *testing.T) {
	t.Parallel()
	files := blocks(t)
	folder := t.TempDir()
	config, token := filepath.Join(folder, "immichaccess.yml"), filepath.Join(folder, "dns-token")
	for file, content := range map[string]string{config: files["immichaccess.yml"], token: "token-of-the-example\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, environ := range map[string][]string{
		"compose.yml":                     composeEnvironment(t, files["compose.yml"]),
		"immichaccess.service.d/dns.conf": unitEnvironment(t, files["immichaccess.service.d/dns.conf"]),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, variable := range environ {
				environ[i] = strings.NewReplacer("/run/secrets", folder, "%d", folder).Replace(variable)
			}
			check(t, config, environ, "")
			check(t, config, []string{"CF_DNS_API_TOKEN_FILE=/nowhere/dns-token"}, "CF_DNS_API_TOKEN_FILE")
		})
	}
}

// check runs the command, which should fail with a text if there is one.
func check(t *testing.T, config string, environ []string, failure string) {
	t.Helper()
	command := exec.Command(harness.Binary(t), "check", "--configFile="+config)
	command.Env = environ
	output, err := command.CombinedOutput()
	if (err != nil) != (failure != "") || !strings.Contains(string(output), failure) {
		t.Errorf("%v: %s", err, output)
	}
}

func composeEnvironment(t *testing.T, text string) (environ []string) {
	t.Helper()
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Secrets     []string
		}
		Secrets map[string]struct{ File string }
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&compose); err != nil {
		t.Fatal(err)
	}
	service := compose.Services["immichaccess"]
	if len(service.Secrets) != 1 || compose.Secrets[service.Secrets[0]].File == "" {
		t.Errorf("%+v", compose)
	}
	for name, value := range service.Environment {
		environ = append(environ, name+"="+value)
	}
	return environ
}

func unitEnvironment(t *testing.T, text string) (environ []string) {
	t.Helper()
	for _, match := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(text, -1) {
		environ = append(environ, match[1])
	}
	if len(environ) == 0 || !strings.Contains(text, "\nLoadCredential=dns-token:/etc/immichaccess/dns-token\n") {
		t.Errorf("%s", text)
	}
	return environ
}
