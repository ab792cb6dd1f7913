package standalone

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

var shownSecret = regexp.MustCompile(`header value    (\S+)`)

// checkWritten runs the proxy with what init has written, and tries the key that it has shown.
func checkWritten(t *testing.T, shown, file, url string, arguments ...string) {
	t.Helper()
	secret := shownSecret.FindStringSubmatch(shown)
	if secret == nil {
		t.Fatalf("no key is shown:\n%s", shown)
	}
	proxy := harness.Start(t, harness.Binary(t), append([]string{"--configFile=" + file, "--acme.storage=" + t.TempDir()}, arguments...)...)
	proxy.AwaitListening(t, strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://"))
	client := &http.Client{Timeout: harness.Patience, Transport: &http.Transport{TLSClientConfig: harness.AnyCertificate()}}
	for key, want := range map[string]int{"": http.StatusForbidden, secret[1]: http.StatusOK} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/server/ping", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = harness.Domain
		if key != "" {
			request.Header.Set("X-Access-Key", key)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("with the key %q: %s, want %d", key, response.Status, want)
		}
	}
}

// A user answers the questions in a terminal, one of them wrongly at first.
func TestInitInATerminal(t *testing.T) {
	t.Parallel()
	_, immich := harness.ServeImmich(t)
	directory, plain := t.TempDir(), harness.FreeAddress(t)
	terminal := harness.StartInTerminal(t, directory, harness.Binary(t), "init", "--directory=.")
	terminal.Answer(t, "domain [none]: ", "https://"+harness.Domain)
	terminal.Answer(t, "without https:// and without a path\r\n  domain [none]: ", harness.Domain)
	terminal.Answer(t, "upstream [http://127.0.0.1:2283]: ", immich)
	terminal.Answer(t, "certificate [acme]: ", "plain")
	terminal.Answer(t, "listen [127.0.0.1:8080]: ", plain)
	terminal.Answer(t, "trustedProxies [127.0.0.1]: ", "")
	terminal.Answer(t, "keyName [phone]: ", "")
	terminal.Answer(t, "browserLogin [no]: ", "yes")
	terminal.Answer(t, "keylessNetworks [none]: ", "")
	if code := terminal.ExitCode(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	shown := terminal.Log.String()
	if !strings.Contains(shown, "keys in force: phone") || !strings.Contains(shown, "https://"+harness.Domain+"/.immichaccess#") {
		t.Error("it shows no verdict or no link")
	}
	checkWritten(t, shown, filepath.Join(directory, "immichaccess.yml"), "http://"+plain)
}

// Ctrl+C and the end of the input leave nothing behind.
func TestInitIsEnded(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"Ctrl+C": "\x03", "Ctrl+D": "\x04"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			terminal := harness.StartInTerminal(t, directory, harness.Binary(t), "init", "--directory=new", "--upstream=http://127.0.0.1:1")
			terminal.Answer(t, "domain [none]: ", harness.Domain)
			terminal.Answer(t, "certificate [acme]: ", "")
			harness.Await(t, "the next question", func() bool { return terminal.Log.Contains("email [none]: ") })
			terminal.Type(t, key)
			if code := terminal.ExitCode(t); code != 1 || strings.Count(terminal.Log.String(), "\nimmichaccess: init: ended before the last answer; nothing was written\r\n") != 1 {
				t.Errorf("exit code %d", code)
			}
			if entries, err := os.ReadDir(directory); err != nil || len(entries) > 0 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

// A script gives all answers by flags.
func TestInitByFlags(t *testing.T) {
	t.Parallel()
	_, immich := harness.ServeImmich(t)
	directory := t.TempDir()
	certFile, keyFile := filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem")
	harness.WriteCertificate(t, certFile, keyFile, harness.Domain)
	output, err := exec.CommandContext(t.Context(), harness.Binary(t), "init", "--directory="+directory, "--domain="+harness.Domain, "--upstream="+immich,
		"--certificate=files", "--certFile="+certFile, "--keyFile="+keyFile, "--keyName=tablet", "--browserLogin=no", "--keylessNetworks=none").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	https := harness.FreeAddress(t)
	checkWritten(t, string(output), filepath.Join(directory, "immichaccess.yml"), "https://"+https, "--listen.https="+https, "--listen.http=", "--http3=false")
	if leaf := harness.Certificate(https, harness.Domain); leaf == nil || leaf.VerifyHostname(harness.Domain) != nil {
		t.Error("the proxy has another certificate")
	}
}

// The documentation's command needs no terminal.
func TestInitAsDocumented(t *testing.T) {
	t.Parallel()
	_, immich := harness.ServeImmich(t)
	command := regexp.MustCompile(`(?m)^ +immichaccess (init .*)$`).FindStringSubmatch(harness.ReadFile(t, harness.RepositoryDir()+"/docs/standalone.md"))
	if command == nil {
		t.Fatal("the documentation has no command")
	}
	arguments := append(strings.Fields(command[1]), "--upstream="+immich, "--directory="+t.TempDir())
	output, err := exec.CommandContext(t.Context(), harness.Binary(t), arguments...).CombinedOutput()
	if err != nil || !strings.Contains(string(output), "keys in force: phone") {
		t.Errorf("%v: %s", err, output)
	}
}

func TestInitWithoutATerminal(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	command := exec.CommandContext(t.Context(), harness.Binary(t), "init", "--directory="+filepath.Join(directory, "new"), "--domain="+harness.Domain)
	command.Stdin = strings.NewReader("http://127.0.0.1:2283\n")
	output, _ := command.CombinedOutput()
	if code := command.ProcessState.ExitCode(); code != 2 || !strings.HasPrefix(string(output), "immichaccess: init: --upstream is missing") || strings.Count(string(output), "\n") != 1 {
		t.Errorf("exit code %d\n%s", code, output)
	}
	if entries, err := os.ReadDir(directory); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
