package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// runCommand returns the exit code and what was written.
func runCommand(args ...string) (code int, out, errOut string) {
	var stdout, stderr strings.Builder
	code = mainImpl(args, nil, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

const keyFlag = "--access.keys=phone:correct-horse-battery-staple"

func TestCommands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		out  string
		err  string
	}{
		"help":                   {args: []string{"--help"}, out: "immichaccess is an access-key gateway for Immich"},
		"help of a command":      {args: []string{"check", "--help"}, out: "immichaccess is an access-key gateway for Immich"},
		"version":                {args: []string{"version"}, out: "immichaccess "},
		"version as a flag":      {args: []string{"--version"}, out: "immichaccess "},
		"check":                  {args: []string{"check", keyFlag}, out: "access.keys"},
		"check without HTTPS":    {args: []string{"check", keyFlag, "--listen.https=", "--listen.plain=127.0.0.1:8080"}, out: "listen.plain"},
		"check finds":            {args: []string{"check", keyFlag, "--http3=maybe"}, code: 2, err: "immichaccess: http3: \"maybe\""},
		"run without key":        {args: []string{"--access.keys=", "--access.keysFile="}, code: 2, err: "there is no key, so nobody could get in"},
		"unknown command":        {args: []string{"chekc"}, code: 2, err: `there is no command "chekc"`},
		"key without name":       {args: []string{"key"}, code: 2, err: "give the new key a name"},
		"key, wrong name":        {args: []string{"key", "my phone"}, code: 2, err: `"my phone" is not a name`},
		"key, name of a hash":    {args: []string{"key", "sha256"}, code: 2, err: `"sha256" can't be the name of a key`},
		"key, unknown option":    {args: []string{"key", "phone", "--domains=a"}, code: 2, err: "key: flag provided but not defined: -domains"},
		"cert without name":      {args: []string{"cert"}, code: 2, err: "cert: give the new certificate a name"},
		"cert, wrong name":       {args: []string{"cert", "my phone"}, code: 2, err: `cert: "my phone" is not a name`},
		"cert, path":             {args: []string{"cert", "../phone"}, code: 2, err: `cert: "../phone" is not a name`},
		"cert, long name":        {args: []string{"cert", strings.Repeat("x", 65)}, code: 2, err: "up to 64 letters"},
		"cert, no days":          {args: []string{"cert", "phone", "--days=0"}, code: 2, err: "cert: --days: 0 is not allowed; allowed are 1 to 3650"},
		"cert, many days":        {args: []string{"cert", "phone", "--days=3651"}, code: 2, err: "cert: --days: 3651 is not allowed"},
		"cert, unknown option":   {args: []string{"cert", "phone", "--year=1"}, code: 2, err: "cert: flag provided but not defined: -year"},
		"cert, no configuration": {args: []string{"cert", "phone", "--configFile=/nowhere.yml"}, code: 2, err: "/nowhere.yml"},
		"cert, no directory":     {args: []string{"cert", "phone", "--dir=" + os.DevNull}, code: 1, err: "cert: "},
		"demo, port in use":      {args: []string{"demo", "--listen.https=192.0.2.1:443"}, code: 1, err: "use another port, as with --listen.https=127.0.0.1:8444"},
		"port in use":            {args: []string{"--listen.https=192.0.2.1:443", keyFlag}, code: 1, err: "listen.https: "},
		"doctor without address": {args: []string{"doctor"}, code: 2, err: "give the address of your Immich"},
		"doctor, unknown option": {args: []string{"doctor", "photos.example.com", "--fast"}, code: 2, err: "doctor: flag provided but not defined: -fast"},
		"doctor, two keys":       {args: []string{"doctor", "photos.example.com", "--key=a", "--keyFile=b"}, code: 2, err: "not both"},
		"doctor, no such file":   {args: []string{"doctor", "photos.example.com", "--keyFile=/nonexistent"}, code: 2, err: "--keyFile: open /nonexistent"},
		"doctor, nothing there":  {args: []string{"doctor", "https://127.0.0.1:1"}, code: 1, out: "Nothing answers on port 1"},
		"doctor, as JSON":        {args: []string{"doctor", "--json", "https://127.0.0.1:1"}, code: 1, out: `"id": "address-unreachable"`},
		"healthcheck, no proxy":  {args: []string{"healthcheck", keyFlag, "--admin.address=127.0.0.1:1"}, code: 1, err: "healthcheck: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := runCommand(c.args...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errOut, c.err) {
				t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
			}
		})
	}
}

func TestKeyMatchesItsEntry(t *testing.T) {
	t.Parallel()
	_, out, _ := runCommand("key", "phone")
	secret := regexp.MustCompile(`header value +(\S+)`).FindStringSubmatch(out)[1]
	digest := sha256.Sum256([]byte(secret))
	if !strings.Contains(out, "phone:sha256:"+hex.EncodeToString(digest[:])) {
		t.Error(out)
	}
	if _, again, _ := runCommand("key", "phone"); strings.Contains(again, secret) {
		t.Error("it made the same key twice")
	}
}

// Each form of the entry that key prints has to be one that the gateway, Traefik or Compose accepts.
func TestKeyPrintsWhereTheEntryGoes(t *testing.T) {
	t.Parallel()
	_, out, _ := runCommand("key", "mother.s-phone_2")
	entry := regexp.MustCompile(`(?m)^    (mother\.s-phone_2:sha256:[0-9a-f]{64})$`).FindStringSubmatch(out)[1]
	label := "traefik.http.middlewares.immich-key.plugin.immichaccess.keys=" + entry
	for name, want := range map[string]any{
		"In immichaccess.yml:":                          map[string]any{"access": map[string]any{"keys": []any{entry}}},
		"As a flag:":                                    "--access.keys=" + entry,
		"In the file of the option keysFile:":           entry,
		"In Traefik's dynamic.yml:":                     traefikPlugin(map[string]any{"keys": []any{entry}}),
		"As a Docker label for Traefik:":                label,
		"In Docker Compose, with Traefik:":              map[string]any{"labels": []any{label}},
		"In Docker Compose, with the standalone proxy:": map[string]any{"environment": map[string]any{"IMMICHACCESS_ACCESS_KEYS": entry}},
	} {
		block := regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(name) + `\n((?:    .*\n)+)`).FindStringSubmatch(out)
		if block == nil {
			t.Errorf("%q is missing in\n%s", name, out)
			continue
		}
		var got any
		if err := yaml.Unmarshal([]byte(block[1]), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %v, want %v; error %v", name, got, want, err)
		}
	}
	if code, _, errOut := runCommand("check", "--access.keys="+entry+","+strings.Replace(keyFlag, "--access.keys=", "", 1)); code != exitGood {
		t.Errorf("the proxy does not accept the entry beside another: %s", errOut)
	}
}

func traefikPlugin(options map[string]any) map[string]any {
	return map[string]any{"http": map[string]any{"middlewares": map[string]any{
		"immich-key": map[string]any{"plugin": map[string]any{"immichaccess": options}},
	}}}
}

func TestKeyPrintsALink(t *testing.T) {
	t.Parallel()
	for domain, host := range map[string]string{
		"photos.example.com":      "photos.example.com",
		"Photos.Example.com:443":  "photos.example.com",
		"photos.example.com:8443": "photos.example.com:8443",
		"localhost":               "localhost",
		"192.168.1.5:8443":        "192.168.1.5:8443",
		"fotos.müller.example":    "fotos.xn--mller-kva.example",
		"xn--mller-kva.example":   "xn--mller-kva.example",
	} {
		code, out, errOut := runCommand("key", "--domain="+domain, "phone")
		secret := regexp.MustCompile(`header value +(\S+)`).FindStringSubmatch(out)
		if code != exitGood || !strings.Contains(out, "\n    https://"+host+"/.immichaccess#"+secret[1]+"\n") || !strings.Contains(out, "server address  https://"+host+"\n") {
			t.Errorf("%s: exit code %d\n%s\n%s", domain, code, out, errOut)
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s: colours, though this is no terminal:\n%q", domain, out)
		}
	}
}

func TestKeyRefusesADomain(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{
		"", "https://photos.example.com", "photos.example.com/", "photos.example.com/photos", "photos.example.com#secret-secret", "x:secret@photos.example.com",
		"photos.example.com:", "photos.example.com:0", "photos.example.com:65536", "photos.example.com:https", "photos.example.com.", "*.example.com", "photos..com",
		"photos example.com", "-photos.example.com", "[::1]:443", "photos_1.example.com", "xn--a.example", strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 127) + "com",
	} {
		code, out, errOut := runCommand("key", "phone", "--domain="+domain)
		if code != exitUsage || out != "" || !strings.Contains(errOut, "allowed is a host name, such as photos.example.com") {
			t.Errorf("%q: exit code %d\n%s\n%s", domain, code, out, errOut)
		}
		if strings.Contains(errOut, "secret") {
			t.Errorf("%q: the error shows a key: %s", domain, errOut)
		}
	}
}

// The label that key prints replaces the one in the example.
func TestKeyPrintsTheLabelOfTheExample(t *testing.T) {
	t.Parallel()
	_, out, _ := runCommand("key", "phone")
	label := regexp.MustCompile(`traefik\.http\.middlewares\.\S+\.keys=`).FindString(out)
	example, err := os.ReadFile("../../examples/traefik/docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if label == "" || !strings.Contains(string(example), "- "+label) {
		t.Errorf("the example has no label %q", label)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		code   int
	}{
		"a key is needed": {http.StatusForbidden, exitGood},
		"broken":          {http.StatusBadGateway, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) }))
			t.Cleanup(proxy.Close)
			if code, _, errOut := runCommand("healthcheck", keyFlag, "--listen.https="+proxy.Listener.Addr().String()); code != c.code {
				t.Errorf("exit code %d\n%s", code, errOut)
			}
			plain := httptest.NewServer(proxy.Config.Handler)
			t.Cleanup(plain.Close)
			if code, _, errOut := runCommand("healthcheck", keyFlag, "--listen.https=", "--listen.plain="+plain.Listener.Addr().String()); code != c.code {
				t.Errorf("without HTTPS: exit code %d\n%s", code, errOut)
			}
		})
	}
}

func TestDoctorShowsNoKey(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery-staple"
	for _, args := range [][]string{
		{"doctor", "---key=" + secret},
		{"doctor", "https://127.0.0.1:1", "--key=" + secret},
		{"doctor", "https://x:" + secret + "@127.0.0.1:1"},
		{"doctor", "https://127.0.0.1:1", "--key=" + secret + "\n"},
		{"doctor", "https://127.0.0.1:1", "--slow=" + "perhaps", "--key=" + secret},
	} {
		code, out, errOut := runCommand(args...)
		if code == exitGood || strings.Contains(out+errOut, secret) {
			t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
		}
	}
}
