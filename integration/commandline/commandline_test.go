// Package commandline runs Immich's own command line tool against the standalone proxy, as docs/command-line.md says.
package commandline

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

const (
	tool      = "@immich/cli@3.2.2"
	accessKey = "example-phone-key-change-me" // as in the documentation
	apiKey    = "API_KEY"
)

// TestDocumentedCommands uploads a folder by the commands of the documentation, and again with another key.
func TestDocumentedCommands(t *testing.T) {
	immich := &immich{t: t}
	upstream := httptest.NewServer(immich)
	t.Cleanup(upstream.Close)

	home := t.TempDir()
	certFile, keyFile := filepath.Join(home, "cert.pem"), filepath.Join(home, "key.pem")
	harness.WriteCertificate(t, certFile, keyFile, "localhost")
	address := harness.FreeAddress(t)
	process := harness.Start(t, harness.Binary(t), "--upstreams="+upstream.URL, "--listen.https="+address, "--listen.http=",
		"--tls.certFile="+certFile, "--tls.keyFile="+keyFile, "--access.keys=cli:"+accessKey, "--log.access")
	process.AwaitListening(t, address)

	picture := make([]byte, 3<<20)
	_, _ = rand.Read(picture)
	if err := os.Mkdir(filepath.Join(home, "Pictures"), 0o700); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(home, "Pictures", "photo.jpg"), string(picture))
	harness.WriteFile(t, filepath.Join(home, "access-key.mjs"), harness.ReadFile(t, "../../examples/command-line/access-key.mjs"))

	script := "immich() { " + install(t) + ` "$@"; }` + "\n" + documented(t)
	script = strings.ReplaceAll(script, "https://photos.example.com", "https://localhost:"+address[strings.LastIndex(address, ":")+1:])
	run := func(script string) (output string, err error) {
		command := exec.Command("bash", "-euc", script)
		command.Dir = home
		command.Env = append(os.Environ(), "HOME="+home, "NODE_EXTRA_CA_CERTS="+certFile)
		printed, err := command.CombinedOutput()
		return string(printed), err
	}

	if output, err := run(script); err != nil {
		t.Fatalf("%v: %s\n%s", err, output, process.Log)
	}
	if got := immich.uploaded(); len(got) != 1 || got[0] < int64(len(picture)) {
		t.Errorf("uploads of %d bytes arrived, want one of more than %d", got, len(picture))
	}
	if log := process.Log.String(); strings.Contains(log, "msg=denied") || !strings.Contains(log, "path=/api/assets") {
		t.Errorf("the proxy's log is\n%s", log)
	}

	if warnings := strings.Count(process.Log.String(), "keys of the examples"); warnings != 1 {
		t.Errorf("%d warnings of the example key, want one:\n%s", warnings, process.Log)
	}

	if output, err := run(strings.ReplaceAll(script, accessKey, "a-wrong-access-key")); err == nil {
		t.Errorf("with a wrong access key: %s", output)
	}
	process.Log.Await(t, 0, `reason="wrong key"`)
}

// documented returns the commands of the documentation.
func documented(t *testing.T) string {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(harness.ReadFile(t, "../../docs/command-line.md"), -1)
	if len(blocks) != 1 {
		t.Fatalf("the documentation has %d blocks of commands, want one", len(blocks))
	}
	return blocks[0][1]
}

// install gets the tool and the Node.js that it needs from npm, and returns the command that runs it.
func install(t *testing.T) string {
	t.Helper()
	architecture := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	folder := t.TempDir()
	output, err := exec.Command(harness.Tool(t, "npm"), "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder,
		tool, "node-linux-"+architecture+"@22").CombinedOutput()
	if err != nil {
		t.Fatalf("npm install: %v\n%s", err, output)
	}
	modules := filepath.Join(folder, "node_modules")
	return filepath.Join(modules, "node-linux-"+architecture, "bin", "node") + " " + filepath.Join(modules, "@immich", "cli", "bin", "immich")
}

// immich answers what the tool asks of Immich.
type immich struct {
	t *testing.T

	mu    sync.Mutex
	sizes []int64
}

func (i *immich) uploaded() []int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sizes
}

func (i *immich) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Access-Key") != "" {
		i.t.Errorf("%s: the access key reaches Immich", r.URL.Path)
	}
	w.Header().Set("Content-Type", "application/json")
	var answer any
	switch r.Method + " " + r.URL.Path {
	case "GET /.well-known/immich":
		answer = map[string]any{"api": map[string]string{"endpoint": "/api"}}
	case "GET /api/server/ping":
		answer = map[string]string{"res": "pong"}
	case "GET /api/users/me":
		answer = map[string]string{"id": "1", "email": "mother@example.com", "name": "Mother"}
	case "GET /api/api-keys/me":
		if r.Header.Get("X-Api-Key") != apiKey {
			i.t.Errorf("the API key that reaches Immich is %q", r.Header.Get("X-Api-Key"))
		}
		answer = map[string]any{"id": "1", "permissions": []string{"all"}}
	case "GET /api/server/media-types":
		answer = map[string][]string{"image": {".jpg"}, "video": {".mp4"}, "sidecar": {".xmp"}}
	case "POST /api/assets/bulk-upload-check":
		answer = accepted(r)
	case "POST /api/assets":
		i.receive(r)
		w.WriteHeader(http.StatusCreated)
		answer = map[string]string{"id": "9f2d8d4e-7f3b-4c52-8d0e-0d5c3b1f6a01", "status": "created"}
	default:
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// accepted tells that none of the files is known.
func accepted(r *http.Request) any {
	var asked struct {
		Assets []struct{ ID string }
	}
	_ = json.NewDecoder(r.Body).Decode(&asked)
	var results []map[string]string
	for _, asset := range asked.Assets {
		results = append(results, map[string]string{"id": asset.ID, "action": "accept"})
	}
	return map[string]any{"results": results}
}

func (i *immich) receive(r *http.Request) {
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		i.t.Error(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sizes = append(i.sizes, size)
}
