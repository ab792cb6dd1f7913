package dnschallenge

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// description is lego's description of a provider, in the file beside its code.
type description struct {
	Code          string
	Configuration struct {
		Credentials map[string]string
		Additional  map[string]string
	}
}

// undescribed are variables that lego reads, but does not list: in exec.toml they are in the text, and Hetzner's old API is
// deprecated.
var undescribed = []string{"EXEC_PATH", "EXEC_MODE", "HETZNER_API_KEY"}

// own are providers that are not lego's; integration/dns compares them with lego's of the same name.
var own = []string{"route53"}

func TestTableAgreesWithLego(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../vendor/github.com/go-acme/lego/v4/providers/dns/*/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]description{}
	for _, file := range files {
		var d description
		if _, err := toml.DecodeFile(file, &d); err != nil {
			t.Fatal(err)
		}
		described[d.Code] = d
	}
	legos := slices.DeleteFunc(Names(), func(name string) bool { return slices.Contains(own, name) })
	if got, want := slices.Sorted(slices.Values(legos)), slices.Sorted(maps.Keys(described)); !slices.Equal(got, want) {
		t.Errorf("the table has %v, vendor %v", got, want)
	}
	for _, e := range table {
		if slices.Contains(own, e.name) {
			continue
		}
		d := described[e.name].Configuration
		for name := range d.Credentials {
			if !slices.Contains(e.variables(), name) {
				t.Errorf("%s: the table lacks %s", e.name, name)
			}
		}
		for _, name := range e.variables() {
			_, credential := d.Credentials[name]
			_, additional := d.Additional[name]
			if !credential && !additional && !slices.Contains(undescribed, name) {
				t.Errorf("%s: lego does not know %s", e.name, name)
			}
		}
		if _, known := d.Additional[e.prefix+"_PROPAGATION_TIMEOUT"]; !known && e.prefix != "" && e.prefix != "EXEC" {
			t.Errorf("%s: lego does not know %s_PROPAGATION_TIMEOUT", e.name, e.prefix)
		}
	}
}

// examples are values for variables that some providers validate.
var examples = map[string]string{
	"OVH_ENDPOINT": "ovh-eu", "EXEC_PATH": "/bin/true", "HTTPREQ_ENDPOINT": "http://127.0.0.1:1/", "ACME_DNS_API_BASE": "http://127.0.0.1:1/",
	"RFC2136_TSIG_ALGORITHM": "hmac-sha256", "RFC2136_NAMESERVER": "127.0.0.1",
}

// setVariables sets each of the provider's variables that most users need, by set.
func setVariables(t *testing.T, e entry, set func(name, value string)) {
	t.Helper()
	for _, name := range strings.Fields(strings.ReplaceAll(e.needs, "*", "")) {
		value := examples[name]
		if name == "ACME_DNS_STORAGE_PATH" {
			value = filepath.Join(t.TempDir(), "accounts.json")
		}
		if value == "" {
			value = "a-secret-for-the-test"
		}
		set(name, value)
	}
}

func TestEachProviderOpens(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // where AWS's keys may be
	for _, e := range table {
		t.Run(e.name, func(t *testing.T) {
			setVariables(t, e, t.Setenv)
			p, err := Open(e.name)
			if err != nil {
				t.Fatal(err)
			}
			if p.timeout <= 0 || p.interval <= 0 {
				t.Errorf("%v, %v", p.timeout, p.interval)
			}
		})
		t.Run(e.name+" with files", func(t *testing.T) {
			setVariables(t, e, func(name, value string) {
				file := filepath.Join(t.TempDir(), name)
				if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv(name+"_FILE", file)
			})
			if _, err := Open(e.name); err != nil {
				t.Error(err)
			}
		})
		t.Run(e.name+" without", func(t *testing.T) {
			_, err := Open(e.name)
			first := strings.TrimPrefix(strings.Fields(e.needs)[0], "*")
			if err == nil || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), first+"_FILE") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestVariablesThatCanNotBeUsed(t *testing.T) {
	for name, c := range map[string]struct{ provider, variable, value, want string }{
		"no such file": {"duckdns", "DUCKDNS_TOKEN_FILE", "/nowhere", "DUCKDNS_TOKEN_FILE: open /nowhere: no such file"},
		"line break":   {"duckdns", "DUCKDNS_TOKEN", "hidden-token\r\n", "DUCKDNS_TOKEN has blanks or line breaks"},
		"no program":   {"exec", "EXEC_PATH", "/nowhere", "EXEC_PATH: exec: \"/nowhere\": stat /nowhere: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			_, err := Open(c.provider)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestErrorsShowNoSecrets has errors that contain what those of providers are known to contain.
func TestErrorsShowNoSecrets(t *testing.T) {
	t.Setenv("DUCKDNS_TOKEN", "hidden/token&more")
	p, err := Open("duckdns")
	if err != nil {
		t.Fatal(err)
	}
	failure := p.refused(errors.New("KO, used url [https://www.duckdns.org/update?token=hidden%2Ftoken%26more&txt=a]\nproxy http://me:hidden-too@proxy/ hidden/token&more"))
	if text := failure.Error(); strings.Contains(text, "hidden") || !strings.Contains(text, "token=****&txt=a] proxy http://****@proxy/ ****") {
		t.Error(text)
	}
	if !strings.Contains(failure.Check, "DUCKDNS_TOKEN") {
		t.Error(failure.Check)
	}
}
