package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// withKey is the only option that a start needs.
var withKey = []string{"--access.keys=phone:correct-horse-battery-staple"}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, args, environ []string) *Loaded {
	t.Helper()
	loaded, err := Load(args, environ)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	loaded := load(t, withKey, nil)
	if changed := Changed(Defaults(), &loaded.Settings); len(changed) != 1 || changed[0] != "access.keys" {
		t.Errorf("changed: %v", changed)
	}
}

const (
	yamlFile = `
listen:
  https: ":1"
  http: ":1"
http3: false
timeouts:
  idle: 90
  header: 5s
admin:
access:
  keys:
    - phone:correct-horse-battery-staple methods=GET,HEAD
    - tablet:another-horse-battery-staple
  requireKey: true
`
	tomlFile = `
http3 = false
[listen]
https = ":1"
http = ":1"
[timeouts]
idle = 90
header = "5s"
[access]
keys = ["phone:correct-horse-battery-staple methods=GET,HEAD", "tablet:another-horse-battery-staple"]
requireKey = true
`
)

func TestFlagsWinOverEnvironmentWinsOverFile(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"immichaccess.yml": yamlFile, "immichaccess.toml": tomlFile} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, name, content)
			environ := []string{"IMMICHACCESS_CONFIGFILE=" + path, "IMMICHACCESS_LISTEN_HTTPS=:2", "IMMICHACCESS_LISTEN_HTTP=:2", "HOME=/"}
			l := load(t, []string{"--listen.HTTPS=:3", "--log.access", "--domains", "a.example.com", "--domains=b.example.com"}, environ)

			if l.Listen.HTTPS != ":3" || l.Listen.HTTP != ":2" || l.HTTP3 || !l.Log.Access || l.Access.RequireKey != "true" {
				t.Errorf("%+v", l.Settings)
			}
			if time.Duration(l.Timeouts.Idle) != 90*time.Second || time.Duration(l.Timeouts.Header) != 5*time.Second {
				t.Errorf("%+v", l.Timeouts)
			}
			if strings.Join(l.Domains, " ") != "a.example.com b.example.com" {
				t.Errorf("%v", l.Domains)
			}
			if len(l.Access.Keys) != 2 || l.Access.Keys[0] != "phone:correct-horse-battery-staple methods=GET,HEAD" {
				t.Errorf("%q", l.Access.Keys)
			}
		})
	}
}

// A list that a flag or a variable empties must not keep the entries of the file: these networks would still need no key.
func TestEmptyListWins(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "immichaccess.yml", "access:\n  keys: [correct-horse-battery-staple]\n  keylessNetworks: [192.168.1.0/24]\n")
	for source, c := range map[string]struct{ args, environ []string }{
		"flag":     {args: []string{"--access.keylessNetworks="}},
		"variable": {environ: []string{"IMMICHACCESS_ACCESS_KEYLESSNETWORKS="}},
	} {
		l := load(t, append(c.args, "--configFile="+path), c.environ)
		if len(l.Access.KeylessNetworks) != 0 || len(l.Access.Keys) != 1 {
			t.Errorf("%s: %v, %d keys", source, l.Access.KeylessNetworks, len(l.Access.Keys))
		}
	}
}

func TestShowMasksSecretsAndNamesSources(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "immichaccess.yml", "access: {keys: ['phone:correct-horse-battery-staple expires=2999-01-31', another-horse-battery]}\n")
	environ := []string{"IMMICHACCESS_ACME_EAB_HMACKEY=hidden-hmac", "IMMICHACCESS_ACME_EAB_KEYID=kid"}
	var out strings.Builder
	if err := load(t, []string{"--configFile=" + path, "--http3=false"}, environ).Show(&out); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"correct-horse", "another-horse", "hidden-hmac"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("it shows %s", secret)
		}
	}
	shown := strings.Join(strings.Fields(out.String()), " ")
	for _, line := range []string{
		"access.keys phone:**** expires=2999-01-31, **** " + path,
		"acme.eab.hmacKey **** environment",
		"http3 false flag",
		"upstreams http://127.0.0.1:2283 default",
	} {
		if !strings.Contains(shown, line) {
			t.Errorf("it does not say %q:\n%s", line, out.String())
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    []string
		environ []string
		file    string
		want    []string
	}{
		"unknown flag":           {args: []string{"--timeouts.idel=3s"}, want: []string{"--timeouts.idel: there is no such option; did you mean --timeouts.idle?"}},
		"unknown variable":       {environ: []string{"IMMICHACCESS_LISTEN_HTPS=:1"}, want: []string{"did you mean IMMICHACCESS_LISTEN_HTTPS?"}},
		"unknown in the file":    {file: "acess: {keysFile: x}", want: []string{"did you mean access.keysFile?"}},
		"section for a value":    {file: "listen: {https: {port: 1}}", want: []string{"listen.https.port: there is no such option"}},
		"list for a value":       {file: "listen: {https: [a, b]}", want: []string{"listen.https: [a b] from "}},
		"far from everything":    {args: []string{"--x=1"}, want: []string{"--x: there is no such option; --help lists all options"}},
		"no option at all":       {args: []string{"--log.access", "true", "--http3=false"}, want: []string{"true: this is not an option; a command has to come first"}},
		"no bool":                {args: []string{"--http3=maybe"}, want: []string{`http3: "maybe" from --http3 is invalid; it must be true or false`}},
		"key that is a map":      {file: "access: {keys: [{phone: correct-horse-battery-staple}]}", want: []string{"access.keys: the value from "}},
		"no number":              {args: []string{"--access.denyStatus=forbidden"}, want: []string{`access.denyStatus: "forbidden" from --access.denyStatus is invalid; it must be a number`}},
		"no duration":            {environ: []string{"IMMICHACCESS_TIMEOUTS_IDLE=long"}, want: []string{`timeouts.idle: "long" from IMMICHACCESS_TIMEOUTS_IDLE is invalid; it must be a duration`}},
		"zero duration":          {args: []string{"--timeouts.header=0"}, want: []string{"timeouts.header: 0s is too short"}},
		"negative limit":         {args: []string{"--limits.connections=-1"}, want: []string{"limits.connections: -1 is not a limit"}},
		"path in an upstream":    {args: []string{"--upstreams=http://immich:2283/photos"}, want: []string{"Immich can't run below a path"}},
		"no upstream":            {args: []string{"--upstreams=immich:2283"}, want: []string{`upstreams: "immich:2283" is not an address`}},
		"wildcard":               {args: []string{"--domains=*.example.com"}, want: []string{"domains: \"*.example.com\": a wildcard certificate needs the DNS-01 challenge; set acme.dns.provider"}},
		"wildcard in the middle": {args: []string{"--domains=a.*.example.com"}, want: []string{"is not a host name"}},
		"unknown DNS provider":   {args: []string{"--domains=a.example.com", "--acme.dns.provider=cloudfare"}, want: []string{`acme.dns.provider: "cloudfare" is not known; allowed are cloudflare, `}},
		"no credentials":         {args: []string{"--domains=a.example.com", "--acme.dns.provider=duckdns"}, want: []string{"acme.dns.provider: duckdns needs DUCKDNS_TOKEN in the environment, or the name of a file with the value in DUCKDNS_TOKEN_FILE"}},
		"DNS without domains":    {args: []string{"--acme.dns.provider=exec"}, want: []string{"acme.dns.provider: it is for certificates by ACME, which need domains", "acme.dns.provider: exec needs EXEC_PATH"}},
		"no host name":           {args: []string{"--domains=https://example.com"}, want: []string{"is not a host name"}},
		"no address":             {args: []string{"--listen.https=443"}, want: []string{"listen.https: \"443\" is not an address"}},
		"half a certificate":     {args: []string{"--tls.certFile=x"}, want: []string{"tls: certFile and keyFile need each other"}},
		"no certificate":         {args: []string{"--tls.certFile=/nowhere", "--tls.keyFile=/nowhere"}, want: []string{"tls: open /nowhere"}},
		"certificates of whom":   {args: []string{"--access.clientCertificates"}, want: []string{"access.clientCertificates: clients are asked for certificates only with tls.clientCA"}},
		"no client CA":           {args: []string{"--tls.clientCA=/nowhere"}, want: []string{"tls.clientCA: open /nowhere"}},
		"client CA of no kind":   {args: []string{"--tls.clientCA=" + os.DevNull}, want: []string{"tls.clientCA: " + os.DevNull + ": it holds no certificate; allowed is a PEM file"}},
		"revoked fingerprint":    {args: []string{"--access.revokedCertificates=" + strings.Repeat("ab", 32)}, want: []string{"a serial number (up to 40 hex digits, with or without colons; a fingerprint is not a serial number)"}},
		"two kinds":              {args: []string{"--tls.certFile=x", "--tls.keyFile=y", "--domains=a.example.com"}, want: []string{"give one or the other"}},
		"no directory":           {args: []string{"--acme.server=http://ca"}, want: []string{"acme.server: \"http://ca\""}},
		"no e-mail address":      {args: []string{"--acme.email=you"}, want: []string{`acme.email: "you" is not an e-mail address`}},
		"half an account":        {args: []string{"--acme.eab.keyID=x"}, want: []string{"acme.eab: keyID and hmacKey"}},
		"no upstream at all":     {file: "upstreams: []", want: []string{"upstreams: none is given"}},
		"list of lists":          {file: "domains: [[a.example.com]]", want: []string{"domains: [[a.example.com]] from "}},
		"no roots":               {args: []string{"--acme.trustedRoots=/nowhere"}, want: []string{"acme.trustedRoots: open /nowhere"}},
		"roots of another kind":  {args: []string{"--acme.trustedRoots=" + os.DevNull}, want: []string{"acme.trustedRoots: " + os.DevNull + " contains no certificate"}},
		"unknown level":          {args: []string{"--log.level=loud"}, want: []string{`log.level: "loud" is unknown; allowed are debug, info, warn, error`}},
		"file names itself":      {file: "configFile: x", want: []string{"a file can't name itself"}},
		"broken file":            {file: "access: {keys: [", want: []string{"configFile: "}},
		"missing file":           {args: []string{"--configFile=/nowhere.yml"}, want: []string{"configFile: /nowhere.yml"}},
		"unknown format":         {args: []string{"--configFile=" + os.DevNull}, want: []string{"the file name must end in .yml, .yaml or .toml"}},
		"the handler's options":  {args: []string{"--access.maxUploadSize=lots"}, want: []string{`access.maxUploadSize: "lots" is not a size`}},
		"several of them":        {args: []string{"--access.maxUploadSize=lots", "--access.trustedProxies=all"}, want: []string{"access.maxUploadSize: ", "access.trustedProxies: "}},
		"everything is reported": {args: []string{"--log.level=loud", "--http3=maybe", "--a=b"}, want: []string{"log.level", "http3", "--a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := slices.Concat(withKey, c.args)
			if c.file != "" {
				args = append(args, "--configFile="+writeFile(t, "immichaccess.yml", c.file))
			}
			_, err := Load(args, c.environ)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "correct-horse") {
				t.Errorf("the error shows a secret: %v", err)
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != len(c.want) {
				t.Errorf("%d lines: %v", lines, err)
			}
		})
	}
}

// Without any option, the error also says where a file is looked for.
func TestNothingGiven(t *testing.T) {
	t.Parallel()
	_, err := Load(nil, nil)
	if err == nil || !strings.Contains(err.Error(), "there is no key") || !strings.Contains(err.Error(), "configFile: there is no immichaccess.yml beside the binary") {
		t.Errorf("the error is %v", err)
	}
}

// The file beside the binary is read, unless another is named, or none.
func TestFileBesideTheBinary(t *testing.T) { // not parallel: other tests expect that there is no such file
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(binary), FileName)
	if err := os.WriteFile(beside, []byte("domains: [photos.example.com]"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(beside) })

	if found := load(t, withKey, nil); found.ConfigFile != beside || len(found.Domains) != 1 {
		t.Errorf("%q is read, with the domains %v", found.ConfigFile, found.Domains)
	}
	for name, c := range map[string]struct{ args, environ []string }{
		"a flag":     {args: []string{"--configFile="}},
		"a variable": {environ: []string{"IMMICHACCESS_CONFIGFILE="}},
	} {
		if none := load(t, append(c.args, withKey...), c.environ); none.ConfigFile != "" || len(none.Domains) != 0 {
			t.Errorf("%s: %q is read, with the domains %v", name, none.ConfigFile, none.Domains)
		}
	}
}

// A value of the wrong type is described in the same way, whichever source it comes from.
func TestErrorsNameTheirOrigin(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "immichaccess.yml", "http3: maybe")
	for origin, c := range map[string]struct{ args, environ []string }{
		"--http3":            {args: []string{"--http3=maybe"}},
		"IMMICHACCESS_HTTP3": {environ: []string{"IMMICHACCESS_HTTP3=maybe"}},
		file:                 {args: []string{"--configFile=" + file}},
	} {
		_, err := Load(append(slices.Clone(withKey), c.args...), c.environ)
		if want := `http3: "maybe" from ` + origin + " is invalid; it must be true or false"; err == nil || err.Error() != want {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

// A value in a file is the text as it is written, whatever type YAML or TOML would give it.
func TestValuesInFilesAreText(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"immichaccess.yml": `
acme: {eab: {keyID: &id 0123, hmacKey: 2027-01-31}, storage: *id}
access: {keys: [0123456789012345678901234, "b:x methods=GET,HEAD"], maxUploadSize: 1048576, denyStatus: "404"}
`,
		"immichaccess.toml": `
[acme.eab]
keyID = "0123"
hmacKey = "2027-01-31"
[access]
keys = ["0123456789012345678901234", "b:x methods=GET,HEAD"]
maxUploadSize = 1048576
denyStatus = 404
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := load(t, []string{"--configFile=" + writeFile(t, name, content)}, nil)
			if l.ACME.EAB != (EAB{KeyID: "0123", HMACKey: "2027-01-31"}) || l.Access.MaxUploadSize != "1048576" || l.Access.DenyStatus != 404 {
				t.Errorf("%+v", l.Settings)
			}
			if !slices.Equal(l.Access.Keys, []string{"0123456789012345678901234", "b:x methods=GET,HEAD"}) {
				t.Errorf("%q", l.Access.Keys)
			}
		})
	}
}

// TestErrorsShowNoSecrets gives each secret in a way that can't be converted.
func TestErrorsShowNoSecrets(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"HMAC key of the account": "acme: {eab: {keyID: me, hmacKey: [hidden-secret, more]}}",
		"keys":                    "access: {keys: [{phone: hidden-secret}]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(append(slices.Clone(withKey), "--configFile="+writeFile(t, "immichaccess.yml", content)), nil)
			if err == nil || strings.Contains(err.Error(), "hidden-secret") {
				t.Errorf("%v", err)
			}
		})
	}
}
