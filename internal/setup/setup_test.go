package setup_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	"github.com/immichaccess/immichaccess/internal/filewrite"
	"github.com/immichaccess/immichaccess/internal/setup"
)

const entry = "phone:sha256:389d5de385033b9b85b1e4ebbf909d4931cb45973316a0a630e6f98407e9af96"

// converse answers the questions with one line each, and returns what was written on the terminal.
func converse(t *testing.T, given map[string]string, lines ...string) (*setup.Answers, string, error) {
	t.Helper()
	var out strings.Builder
	typed := strings.NewReader(strings.Join(slices.Concat(lines, []string{""}), "\n"))
	answers, err := setup.Ask(t.Context(), &setup.Dialog{Given: given, Lines: setup.Lines(typed), Out: &out})
	return answers, out.String(), err
}

func immich(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(fakeimmich.New())
	t.Cleanup(server.Close)
	return server.URL
}

// load writes the files, and has the proxy's own parser read them.
func load(t *testing.T, a *setup.Answers, environ ...string) *config.Loaded {
	t.Helper()
	files, err := a.Files(t.TempDir(), entry)
	if err != nil {
		t.Fatal(err)
	}
	if err := filewrite.Create(files...); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load([]string{"--configFile=" + files[0].Path}, environ)
	if err != nil {
		t.Fatalf("%v\n%s", err, files[0].Content)
	}
	if loaded.Access.KeysFile != files[1].Path {
		t.Errorf("keysFile is %s", loaded.Access.KeysFile)
	}
	return loaded
}

// selfSigned writes a certificate for photos.example.com, and its key.
func selfSigned(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"photos.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for _, file := range []filewrite.File{
		{Path: certFile, Content: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}), Mode: 0o600},
		{Path: keyFile, Content: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), Mode: 0o600},
	} {
		if err := filewrite.Create(file); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestConversations(t *testing.T) {
	t.Parallel()
	upstream := immich(t)
	dir := t.TempDir()
	certFile, keyFile := selfSigned(t, dir)
	for name, c := range map[string]struct {
		lines []string
		want  func(*config.Settings)
	}{
		"all defaults": {
			[]string{"", upstream, "", "", "", ""},
			func(*config.Settings) {},
		},
		"ACME": {
			[]string{"photos.example.com", upstream, "", "you@example.com", "tablet", "yes", "192.168.1.0/24, fd00::/8"},
			func(s *config.Settings) {
				s.Domains, s.ACME.Email = []string{"photos.example.com"}, "you@example.com"
				s.Access.BrowserLogin, s.Access.KeylessNetworks = true, []string{"192.168.1.0/24", "fd00::/8"}
			},
		},
		"international name": {
			[]string{"fotos.müller.example", upstream, "acme", "none", "", "n", "none"},
			func(s *config.Settings) { s.Domains = []string{"fotos.xn--mller-kva.example"} },
		},
		"own certificate": {
			[]string{"photos.example.com", upstream + "/", "files", certFile, keyFile, "", "", ""},
			func(s *config.Settings) { s.TLS.CertFile, s.TLS.KeyFile = certFile, keyFile },
		},
		"own certificate without a domain": {
			[]string{"none", upstream, "files", certFile, keyFile, "", "", ""},
			func(s *config.Settings) { s.TLS.CertFile, s.TLS.KeyFile = certFile, keyFile },
		},
		"behind a proxy": {
			[]string{"photos.example.com", upstream, "plain", "", "172.18.0.0/16", "", "", ""},
			func(s *config.Settings) {
				s.Domains = []string{"photos.example.com"}
				s.Listen.HTTPS, s.Listen.Plain = "", "127.0.0.1:8080"
				s.Access.TrustedProxies = []string{"172.18.0.0/16"}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, out, err := converse(t, nil, c.lines...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(out, "Immich answers.") {
				t.Error(out)
			}
			got := load(t, answers)
			want := config.Defaults()
			want.ConfigFile, want.Access.KeysFile, want.Upstreams = got.ConfigFile, got.Access.KeysFile, []string{upstream}
			c.want(want)
			if !reflect.DeepEqual(&got.Settings, want) {
				t.Errorf("the settings are\n%+v, want\n%+v", got.Settings, *want)
			}
		})
	}
}

// A wrong answer is explained, and the question asked again.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	upstream := immich(t)
	tls := httptest.NewUnstartedServer(fakeimmich.New())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	other := httptest.NewServer(nil)
	t.Cleanup(other.Close)
	dir := t.TempDir()
	certFile, keyFile := selfSigned(t, dir)
	_, otherKey := selfSigned(t, t.TempDir())

	acme := []string{"photos.example.com", upstream, "acme", "", "", "", ""}
	files := []string{"photos.example.com", upstream, "files", certFile, keyFile, "", "", ""}
	plain := []string{"photos.example.com", upstream, "plain", "", "", "", "", ""}
	dns := []string{"photos.example.com", upstream, "dns", "duckdns", "", "", "", ""}
	for name, c := range map[string]struct {
		lines  []string
		at     int // the question that is first answered wrongly
		wrong  string
		reason string
	}{
		"domain with a scheme":       {acme, 0, "https://photos.example.com", "without https:// and without a path"},
		"domain with a port":         {acme, 0, "photos.example.com:8443", "is not a host name"},
		"domain is an address":       {acme, 0, "192.168.1.5", "is not a host name"},
		"upstream with a path":       {acme, 1, upstream + "/photos", "Immich can't run below a path"},
		"upstream without a scheme":  {acme, 1, "127.0.0.1:2283", "allowed is http://HOST:PORT"},
		"upstream, wrong scheme":     {acme, 1, strings.Replace(upstream, "http:", "https:", 1), "but at " + upstream},
		"upstream, nobody":           {acme, 1, "http://127.0.0.1:1", "connection refused"},
		"upstream, not Immich":       {acme, 1, other.URL, "the response to GET /api/server/ping is 404"},
		"upstream, HTTPS":            {acme, 1, strings.Replace(tls.URL, "https:", "http:", 1), "400 Bad Request"},
		"certificate":                {acme, 2, "letsencrypt", `"letsencrypt" is not allowed here; allowed are acme, dns, files, plain`},
		"certificate, self-signed":   {acme, 2, "self-signed", "not allowed here"},
		"e-mail":                     {acme, 3, "you", `"you" is not an e-mail address`},
		"name of the key":            {acme, 4, "my phone", `"my phone" is not a name`},
		"name of a hash":             {acme, 4, "sha256", "can't be the name of a key"},
		"browsers":                   {acme, 5, "perhaps", `"perhaps" is neither yes nor no`},
		"networks":                   {acme, 6, "192.168.1.0/24,home", `"home" is not a network`},
		"provider":                   {dns, 3, "nowhere", `"nowhere" is not known; allowed are cloudflare, `},
		"no provider":                {dns, 3, "", `"" is not known`},
		"no such certificate":        {files, 3, "/nowhere.pem", "no such file"},
		"no certificate":             {files, 3, os.DevNull, "holds no certificate"},
		"no file":                    {files, 3, "", "a file is needed"},
		"key without a certificate":  {files, 4, certFile, "tls: found a certificate rather than a key"},
		"key of another certificate": {files, 4, otherKey, "private key does not match public key"},
		"no address":                 {plain, 3, "8080", "allowed are :PORT and IP:PORT"},
		"no proxy":                   {plain, 4, "nginx", `"nginx" is not`},
		"nobody is trusted":          {plain, 4, "none", "an address is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, out, err := converse(t, nil, slices.Insert(slices.Clone(c.lines), c.at, c.wrong)...)
			if err != nil || strings.Count(out, c.reason) != 1 {
				t.Errorf("%v, and not once %q in\n%s", err, c.reason, out)
			}
		})
	}
}

// The proxy may be set up before Immich.
func TestUpstreamThatDoesNotAnswerYet(t *testing.T) {
	t.Parallel()
	const nobody = "http://127.0.0.1:1"
	answers, out, err := converse(t, nil, "", nobody, nobody, "", "", "", "")
	if err != nil || answers.Upstream != nobody || !strings.Contains(out, "; to use this address nevertheless, enter it again") {
		t.Errorf("%v\n%s", err, out)
	}
	answers, out, err = converse(t, map[string]string{"upstream": nobody}, "", "", "", "", "")
	if err != nil || answers.Upstream != nobody || !strings.Contains(out, "Immich does not answer at "+nobody) {
		t.Errorf("as a flag: %v\n%s", err, out)
	}
}

func TestACertificateIsForTheDomain(t *testing.T) {
	t.Parallel()
	certFile, _ := selfSigned(t, t.TempDir())
	_, out, err := converse(t, nil, "other.example.com", immich(t), "files", certFile)
	if !errors.Is(err, setup.ErrEnded) || !strings.Contains(out, "not other.example.com") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFlagsAnswer(t *testing.T) {
	t.Parallel()
	upstream := immich(t)
	for name, c := range map[string]struct {
		given    map[string]string
		defaults bool
		want     string // the error
	}{
		"all": {given: map[string]string{
			"domain": "photos.example.com", "upstream": upstream, "certificate": "acme", "email": "", "keyName": "phone", "browserLogin": "true", "keylessNetworks": "none",
		}},
		"defaults":                {given: map[string]string{"upstream": upstream}, defaults: true},
		"nothing":                 {want: "--domain is missing, and there is no terminal to ask on; give it, or --yes for the defaults (here: none)"},
		"one is missing":          {given: map[string]string{"domain": "", "upstream": upstream}, want: "--certificate is missing, and there is no terminal to ask on; give it, or --yes for the defaults (here: self-signed)"},
		"without a default":       {given: map[string]string{"domain": "a.example.com", "certificate": "dns"}, defaults: true, want: "--provider is missing, and there is no terminal to ask on; give it"},
		"wrong":                   {given: map[string]string{"domain": "https://a.example.com"}, defaults: true, want: "--domain: allowed is a host name, such as photos.example.com, without https:// and without a path"},
		"plain without a domain":  {given: map[string]string{"certificate": "plain"}, defaults: true, want: "--certificate: plain needs a domain; without one, allowed are self-signed, files"},
		"without effect":          {given: map[string]string{"provider": "duckdns", "email": "you@example.com"}, defaults: true, want: "--email has no effect with --certificate=self-signed; leave it out\n--provider has no effect with --certificate=self-signed; leave it out"},
		"empty, where one has to": {given: map[string]string{"domain": "a.example.com", "certificate": "plain", "listen": ""}, defaults: true, want: "--listen: an address is needed, such as 127.0.0.1:8080"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, err := setup.Ask(t.Context(), &setup.Dialog{Given: c.given, Defaults: c.defaults, Out: io.Discard})
			if c.want != "" {
				if !errors.As(err, &setup.UsageError{}) || err.Error() != c.want {
					t.Errorf("%v, want %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			load(t, answers)
		})
	}
}

// Flags answer some questions, and the user the rest.
func TestOnlyTheRestIsAsked(t *testing.T) {
	t.Parallel()
	answers, out, err := converse(t, map[string]string{"upstream": immich(t), "certificate": "dns", "keyName": "tablet"}, "a.example.com", "duckdns", "", "", "")
	if err != nil || answers.KeyName != "tablet" || strings.Contains(out, "upstream") || strings.Contains(out, "keyName") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestQuestionsCanBeEnded(t *testing.T) {
	t.Parallel()
	lines := []string{"photos.example.com", immich(t), "dns", "duckdns", "", "", "", ""}
	for n := range lines {
		if answers, _, err := converse(t, nil, lines[:n]...); !errors.Is(err, setup.ErrEnded) || answers != nil {
			t.Errorf("after %d answers: %v, %v", n, answers, err)
		}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := setup.Ask(ctx, &setup.Dialog{Lines: make(chan string), Out: io.Discard}); !errors.Is(err, setup.ErrEnded) {
		t.Error(err)
	}
}

// What a DNS provider needs is in a file, which systemd and a shell can read; it is never in the configuration.
func TestEnvironmentFile(t *testing.T) {
	t.Parallel()
	answers, _, err := converse(t, map[string]string{"upstream": immich(t)}, "a.example.com", "dns", "porkbun", "", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files, err := answers.Files(dir, entry)
	if err != nil {
		t.Fatal(err)
	}
	last := files[len(files)-1]
	if last.Path != filepath.Join(dir, "immichaccess.env") || last.Mode != 0o600 || !strings.HasSuffix(string(last.Content), "\nPORKBUN_API_KEY=\nPORKBUN_SECRET_API_KEY=\n") {
		t.Errorf("%s, %v:\n%s", last.Path, last.Mode, last.Content)
	}
	if missing := answers.MissingVariables(); !strings.Contains(missing, "PORKBUN_API_KEY") {
		t.Errorf("missing: %q", missing)
	}
	if config := string(files[0].Content); !strings.Contains(config, "provider: porkbun") || strings.Contains(config, "PORKBUN") {
		t.Error(config)
	}
}

func TestNextSteps(t *testing.T) {
	t.Parallel()
	acme := &setup.Answers{Domain: "a.example.com", Certificate: "acme"}
	for name, c := range map[string]struct {
		answers *setup.Answers
		place   setup.Place
		want    string
	}{
		"port 443":       {acme, setup.Place{Dir: "/home/me", Program: "immichaccess"}, "    sudo immichaccess --configFile=/home/me/immichaccess.yml\n"},
		"as root":        {acme, setup.Place{Dir: "/root", Program: "immichaccess", Root: true}, "    immichaccess --configFile=/root/immichaccess.yml\n"},
		"blank in path":  {acme, setup.Place{Dir: "/home/me/it's here", Program: "/a b/immichaccess", Root: true}, `    '/a b/immichaccess' --configFile='/home/me/it'\''s here/immichaccess.yml'` + "\n"},
		"no service yet": {acme, setup.Place{Dir: "/home/me"}, "do this again as root, with --directory=/etc/immichaccess"},
		"service":        {acme, setup.Place{Dir: "/etc/immichaccess"}, "    systemctl enable --now immichaccess-https.socket immichaccess-http.socket immichaccess-quic.socket immichaccess.service\n"},
		"port 8080":      {&setup.Answers{Certificate: "plain"}, setup.Place{Dir: "/home/me", Program: "immichaccess"}, "    immichaccess --configFile=/home/me/immichaccess.yml\n"},
		"plain service":  {&setup.Answers{Certificate: "plain"}, setup.Place{Dir: "/etc/immichaccess"}, "docs/behind-a-proxy.md"},
		"certificate":    {&setup.Answers{Certificate: "files", CertFile: "/cert.pem"}, setup.Place{Dir: "/etc/immichaccess"}, "needs certificate.conf"},
		"DNS": {&setup.Answers{Certificate: "dns", Provider: "duckdns"}, setup.Place{Dir: "/home/me", Program: "immichaccess"},
			"Fill in /home/me/immichaccess.env, then check it:\n\n    sh -c 'set -a; . /home/me/immichaccess.env; exec immichaccess check --configFile=/home/me/immichaccess.yml'\n"},
	} {
		if got := c.answers.NextSteps(c.place); !strings.Contains(got, c.want) {
			t.Errorf("%s: no %q in\n%s", name, c.want, got)
		}
	}
}

// A shell takes the command with the environment's file as it is meant.
func TestNextStepsInAShell(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "immichaccess.env"), []byte("DUCKDNS_TOKEN='a b'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$DUCKDNS_TOKEN $*\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	steps := (&setup.Answers{Certificate: "dns", Provider: "duckdns"}).NextSteps(setup.Place{Dir: dir, Program: program, Root: true})
	for line := range strings.Lines(steps) {
		command, indented := strings.CutPrefix(line, "    ")
		if !indented {
			continue
		}
		output, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(output), "a b ") || !strings.HasSuffix(string(output), "--configFile="+dir+"/immichaccess.yml\n") {
			t.Errorf("%s%v: %s", command, err, output)
		}
	}
}
