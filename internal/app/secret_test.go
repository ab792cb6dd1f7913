package app

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
)

// logIn returns the cookie of a browser that has logged in with the key.
func (o opened) logIn(t *testing.T, client *http.Client) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url("/.immichaccess"), strings.NewReader(url.Values{"key": {key}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := client.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if len(response.Cookies()) != 1 {
		t.Fatalf("%s: cookies %v", response.Status, response.Cookies())
	}
	return response.Cookies()[0].Name + "=" + response.Cookies()[0].Value
}

// sessionStatus is the status that a browser with the cookie gets.
func (o opened) sessionStatus(t *testing.T, client *http.Client, cookie string) int {
	t.Helper()
	r := newRequest(t, http.MethodGet, o.url("/api/server/about"), nil)
	r.Header = http.Header{"Cookie": {cookie}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func withLogin(storage string) func(*config.Settings) {
	return func(s *config.Settings) { s.Access.BrowserLogin, s.ACME.Storage = true, storage }
}

// A browser stays logged in across a restart, over each protocol, and another instance with the same storage accepts its
// session.
func TestSessionSurvivesARestart(t *testing.T) {
	t.Parallel()
	storage := filepath.Join(t.TempDir(), "not", "there", "yet")
	onEachProtocol(t, func(t *testing.T, _ string, client *http.Client) {
		first := open(t, withLogin(storage))
		cookie := first.logIn(t, client)
		if got := first.sessionStatus(t, client, cookie); got != http.StatusOK {
			t.Errorf("status %d", got)
		}
		if got := open(t, withLogin(storage)).sessionStatus(t, client, cookie); got != http.StatusOK {
			t.Errorf("with the same storage: status %d", got)
		}
		if got := open(t, withLogin(t.TempDir())).sessionStatus(t, client, cookie); got != http.StatusForbidden {
			t.Errorf("with another storage: status %d", got)
		}
		info, err := os.Stat(filepath.Join(storage, sessionSecretName))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the secret: %v, %v", info, err)
		}
	})
}

// If the secret can't be saved, the proxy logs that, and browsers can log in all the same.
func TestSessionSecretCannotBeSaved(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := open(t, withLogin(file))
	a.log.Await(t, "browsers have to log in again after a restart")
	client := &http.Client{Transport: protocols["HTTP/2"](t)}
	if got := a.sessionStatus(t, client, a.logIn(t, client)); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}
