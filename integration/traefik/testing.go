package traefik

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// Running is a Traefik that ends with the test.
type Running struct {
	*Process

	Log         *harness.Log
	DynamicFile string // which Traefik watches
}

// Run builds Traefik and runs it with the settings until the test ends. It returns when Traefik listens on all the addresses, and shows
// the log if the test fails.
func Run(t testing.TB, static, dynamic Settings, addresses ...string) *Running {
	t.Helper()
	folder := t.TempDir()
	r := &Running{Log: &harness.Log{}, DynamicFile: filepath.Join(folder, "dynamic.yml")}
	var err error
	if r.Process, err = Start(context.Background(), MustBuild(t), folder, static, dynamic, r.Log, addresses...); err != nil {
		t.Fatalf("%v\n%s", err, r.Log)
	}
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			t.Logf("Traefik's log:\n%s", harness.Tail(r.Log.String()))
		}
	})
	return r
}

// MustBuild is Build in a test.
func MustBuild(t testing.TB) string {
	t.Helper()
	binary, err := Build(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// SetDynamic replaces the dynamic configuration, which Traefik then reads again.
func (r *Running) SetDynamic(t testing.TB, dynamic Settings) {
	t.Helper()
	if err := Write(r.DynamicFile, dynamic); err != nil {
		t.Fatal(err)
	}
}

// AwaitRoute waits until a GET request for the host is answered with the status at the address, over plain HTTP.
func AwaitRoute(t testing.TB, address, host string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	harness.Await(t, "the route to "+host, func() bool {
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == status
	})
}
