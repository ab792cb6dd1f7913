package main

import (
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/app"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

func TestCheckEndsWithAVerdict(t *testing.T) {
	t.Parallel()
	immich := httptest.NewServer(fakeimmich.New())
	t.Cleanup(immich.Close)
	code, out, _ := runCommand("check", keyFlag, "--upstreams="+immich.URL+",http://127.0.0.1:1", "--access.publicRoutes=ping")
	for _, line := range []string{
		"\nThe configuration is valid.\nreachable at: https://localhost\n",
		"\nImmich at " + immich.URL + " answers\n",
		"\nImmich at http://127.0.0.1:1 does not answer: ",
		"\nkeys in force: phone\nopen without a key: access.publicRoutes=ping\n",
	} {
		if code != exitGood || !strings.Contains(out, line) {
			t.Errorf("exit code %d, and no %q in\n%s", code, line, out)
		}
	}
}

func TestAddressInUseComesWithTheRemedy(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	code, _, errOut := runCommand(keyFlag, "--listen.http=", "--listen.https="+taken.Addr().String())
	if code != exitFailed || strings.Count(errOut, "\n") != 1 || !strings.HasPrefix(errOut, "immichaccess: listen.https: ") || !strings.Contains(errOut, "ss -ltnp") {
		t.Errorf("exit code %d\n%s", code, errOut)
	}
}

// Not parallel: the warning goes to slog's default logger.
func TestCheckWarnsOnce(t *testing.T) {
	log := &safeBuffer{}
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))

	code, _, errOut := runCommand("check", "--access.keys=phone:short", "--upstreams=http://127.0.0.1:1")
	if code != exitGood || strings.Count(log.String(), "phone") != 1 {
		t.Errorf("exit code %d, %s\n%s", code, errOut, log)
	}
}

// Not parallel: the line about a denial goes to slog's default logger.
func TestHealthcheckIsNotLoggedAsDenied(t *testing.T) {
	log := &safeBuffer{}
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))

	settings := config.Defaults()
	settings.Listen = config.Listen{HTTPS: "127.0.0.1:0"}
	settings.HTTP3 = false
	settings.ACME.Storage = t.TempDir()
	settings.Access.Keys = []string{"phone:correct-horse-battery-staple"}
	a, err := app.Open(settings, slog.Default(), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	code, _, errOut := runCommand("healthcheck", keyFlag, "--listen.https="+a.Addr().String())
	if code != exitGood || strings.Contains(log.String(), "denied") {
		t.Errorf("exit code %d\n%s\n%s", code, errOut, log)
	}
}
