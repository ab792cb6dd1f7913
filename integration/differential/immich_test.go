package differential

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// understanding is how Immich reads a request.
type understanding struct {
	Site        int
	Mark        string
	Method, URL string
	Headers     []string // names and values in turn, as they came
	Path        string
	Operations  []match
	Credentials []credential // the first is the one that Immich takes
	Cookies     map[string]string
	Client      string
	Error       string
}

// match is an operation of the API that a request fits, with the parameters of its path, decoded.
type match struct {
	Name       string
	Parameters []string
}

type credential struct{ Place, Value string }

// isStartupPing reports whether this is the standalone proxy's own request at startup: it sends one, which names no client.
func (u understanding) isStartupPing() bool {
	return u.Mark == "" && u.Method == http.MethodGet && u.URL == "/api/server/ping" && len(u.Credentials) == 0 && !slices.Contains(u.Headers, "X-Real-Ip")
}

func (u understanding) took() credential {
	if len(u.Credentials) == 0 {
		return credential{}
	}
	return u.Credentials[0]
}

type operation struct {
	Method, Path string
	Linked       bool // shared links may use it
}

// immich is a running Node that reads requests as Immich does. It listens on one port for each site.
type immich struct {
	Ports      []int
	Operations []operation

	receive func(understanding) // of every request except fences

	mu     sync.Mutex
	fences map[string]chan struct{}
	number int
}

// startImmich runs until the test ends.
func startImmich(t *testing.T, receive func(understanding)) *immich {
	t.Helper()
	directory, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	server, err := filepath.Abs("immich/server.mjs")
	if err != nil {
		t.Fatal(err)
	}
	// Node finds packages beside the file that it runs.
	program := filepath.Join(directory, "server.mjs")
	if err := copyFile(program, server); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.Background(), nodeIn(directory), program, strconv.Itoa(len(sites)))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	im := &immich{receive: receive, fences: map[string]chan struct{}{}}
	lines := json.NewDecoder(bufio.NewReaderSize(stdout, 1<<20))
	if err := lines.Decode(im); err != nil {
		t.Fatalf("Node does not start: %v", err)
	}
	go im.listen(lines)
	return im
}

func (im *immich) listen(lines *json.Decoder) {
	for {
		var u understanding
		if lines.Decode(&u) != nil {
			return
		}
		im.mu.Lock()
		passed, isFence := im.fences[u.Mark]
		delete(im.fences, u.Mark)
		im.mu.Unlock()
		if isFence {
			close(passed)
			continue
		}
		if !u.isStartupPing() {
			im.receive(u)
		}
	}
}

// fence returns when everything that Immich has received so far has been reported.
func (im *immich) fence() error {
	im.mu.Lock()
	im.number++
	mark, passed := fmt.Sprintf("fence-%d", im.number), make(chan struct{})
	im.fences[mark] = passed
	im.mu.Unlock()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, im.url(0), nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Case", mark)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	select {
	case <-passed:
		return nil
	case <-time.After(harness.Patience):
		return errors.New("Immich reports nothing")
	}
}

func (im *immich) url(site int) string {
	return fmt.Sprintf("http://127.0.0.1:%d", im.Ports[site])
}

// installed returns the directory with the packages of immich/package-lock.json, which npm fills once.
var installed = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("immich/package-lock.json")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	directory, err := filepath.Abs("../build/differential-" + hex.EncodeToString(sum[:6]))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(directory); err == nil {
		return directory, nil
	}
	// Another run may be installing as well: what is renamed is complete.
	if err := os.MkdirAll(filepath.Dir(directory), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(directory), "npm-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := copyFile(filepath.Join(fresh, name), filepath.Join("immich", name)); err != nil {
			return "", err
		}
	}
	npm := exec.CommandContext(context.Background(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = fresh
	if output, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, output)
	}
	if err := os.Rename(fresh, directory); err != nil {
		if _, gone := os.Stat(directory); gone != nil {
			return "", err
		}
	}
	return directory, nil
})

// nodeIn returns the Node that the lock file pins, if there is a build of it for this machine, or else the one in PATH.
func nodeIn(directory string) string {
	found, err := filepath.Glob(filepath.Join(directory, "node_modules", "node-linux-*", "bin", "node"))
	if err == nil && len(found) > 0 {
		return found[0]
	}
	return "node"
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return err
	}
	return target.Close()
}
