package app

import (
	"crypto/x509"
	"encoding/pem"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/testlog"
)

func TestSummaryIsLogged(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		s.Access.Keys = []string{"phone:" + key, "tablet:another-horse-battery-staple", "old:former-horse-battery-staple expires=2020-01-31"}
		s.Access.PublicRoutes = []string{"ping", "oauth"}
		s.Access.KeylessNetworks = []string{"192.168.0.0/16"}
		s.Listen.Keyless = "127.0.0.1:0"
	})
	a.logSummary(t.Context())
	a.log.Await(t, "level=INFO msg=reachable url=https://"+a.Addr().String())
	a.log.Await(t, `level=INFO msg="access keys" inForce=phone,tablet expired=old`)
	a.log.Await(t, `level=INFO msg="open without a key" options="access.publicRoutes=ping,oauth access.keylessNetworks=192.168.0.0/16 listen.keyless=`+a.listeners.Keyless.Addr().String())
	a.log.Await(t, `level=INFO msg="Immich answers" upstream=`+a.settings.Upstreams[0])
	if strings.Contains(a.log.String(), "horse") {
		t.Errorf("the log contains a secret:\n%s", a.log)
	}
}

func TestSummaryReportsThatImmichIsDown(t *testing.T) {
	t.Parallel()
	a := open(t, func(s *config.Settings) {
		s.Upstreams = []string{"http://127.0.0.1:1"}
		s.Access.RequireKey = "false"
	})
	a.logSummary(t.Context())
	a.log.Await(t, `level=INFO msg="open without a key" options="access.requireKey=false"`)
	a.log.Await(t, `level=WARN msg="Immich does not answer yet" upstream=http://127.0.0.1:1 error=`)
}

// TestRunLogsTheSummary is not parallel, since Run makes its logger the default of the process.
func TestRunLogsTheSummary(t *testing.T) { //nolint:paralleltest // see above
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	defer func() {
		slog.SetDefault(logger)
		log.SetOutput(writer) // which SetDefault has changed
		log.SetFlags(flags)
	}()
	settings := config.Defaults()
	settings.Upstreams = []string{"http://127.0.0.1:1"}
	settings.Listen = config.Listen{HTTPS: "127.0.0.1:0"}
	settings.HTTP3 = false // whose port need not be free
	settings.ACME.Storage = t.TempDir()
	settings.Access.Keys = []string{"phone:" + key}

	said, signals, ended := &testlog.Log{}, make(chan os.Signal), make(chan error)
	go func() {
		ended <- Run(func() (*config.Loaded, error) { return &config.Loaded{Settings: *settings}, nil }, said, signals)
	}()
	said.Await(t, `level=INFO msg="access keys" inForce=phone`)
	said.Await(t, `level=INFO msg="open without a key"`)
	said.Await(t, `level=WARN msg="Immich does not answer yet" upstream=http://127.0.0.1:1`)
	signals <- syscall.SIGTERM
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestURLsHaveTheNamesOfTheCertificate has one for example.com, without domains.
func TestURLsHaveTheNamesOfTheCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	settings := config.Defaults()
	settings.TLS.CertFile, settings.TLS.KeyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{
		settings.TLS.CertFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		settings.TLS.KeyFile:  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Summarize(settings)
	if err != nil || !slices.Equal(s.URLs, []string{"https://example.com"}) {
		t.Errorf("%v, %v", s, err)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names  []string
		listen config.Listen
		want   []string
	}{
		{[]string{"a.example.com", "b.example.com"}, config.Listen{HTTPS: ":443"}, []string{"https://a.example.com", "https://b.example.com"}},
		{[]string{"a.example.com"}, config.Listen{HTTPS: "[::]:8443"}, []string{"https://a.example.com:8443"}},
		{nil, config.Listen{HTTPS: "[::]:443"}, []string{"https://localhost"}},
		{nil, config.Listen{HTTPS: "[fd00::1]:443"}, []string{"https://[fd00::1]"}},
		{[]string{"a.example.com"}, config.Listen{Plain: "127.0.0.1:8080"}, []string{"http://127.0.0.1:8080"}},
	} {
		if got := urls(c.names, c.listen); !slices.Equal(got, c.want) {
			t.Errorf("%v %+v: %v", c.names, c.listen, got)
		}
	}
}
