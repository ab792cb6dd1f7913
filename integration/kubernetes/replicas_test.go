//go:build slow

package kubernetes

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// Two replicas of Traefik, with the plugin and the flags that helm-values.yml leads to, read kubernetes.yml from the API server.

type replicas struct {
	*cluster

	immich   *fakeimmich.Server
	roots    *x509.CertPool
	one, two *replica
	volumes  string // of the replicas, in place of /etc
}

// replica is one Traefik.
type replica struct {
	*harness.Process

	program     harness.Program
	test        *testing.T // until whose end it runs
	keyed, open string     // addresses of the entry points with and without a key
	health      string
}

func TestReplicas(t *testing.T) {
	r := startReplicas(t)
	t.Run("routes and keys", r.routesAndKeys)
	t.Run("a session counts on both", r.sessions)
	t.Run("each counts wrong keys for itself", r.lockout)
	t.Run("one is restarted", r.restart)
	t.Run("a key is revoked", r.revoke)
	t.Run("keys from a mounted file", r.mountedKeys)
	t.Run("the keys are gone", r.noKeys)
}

func startReplicas(t *testing.T) *replicas {
	t.Helper()
	build(t, "kubectl")
	r := &replicas{cluster: startCluster(t), volumes: t.TempDir()}
	token := r.installTraefik(t)
	commands := harness.DocumentedCommands(t, "docs/scale.md", "Kubernetes")
	r.shell(t, commands[0]) // namespaces and the session's secret
	r.storeCertificate(t)
	r.immich = r.serveImmich(t)
	r.shell(t, commands[1]) // kubernetes.yml
	r.mountSecret(t, "traefik", "immich-session", r.volumes)
	r.allowBrowsers(t)
	r.one, r.two = r.startReplica(t, token), r.startReplica(t, token)
	r.await(t, traefik.ExampleKey, http.StatusOK)
	return r
}

// storeCertificate is cert-manager's part.
func (r *replicas) storeCertificate(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	harness.WriteCertificate(t, certFile, keyFile, harness.Domain)
	r.roots = harness.CertPool(t, harness.ReadFile(t, certFile))
	r.kubectl(t, "--namespace=immich", "create", "secret", "tls", "photos-tls", "--cert="+certFile, "--key="+keyFile)
}

// allowBrowsers applies kubernetes.yml with the options for browsers, which are comments there.
func (r *replicas) allowBrowsers(t *testing.T) {
	t.Helper()
	file := sessionSecretFile(t)
	r.apply(t, strings.NewReplacer(
		"# browserLogin:", "browserLogin:",
		"# sessionSecretFile: "+file, "sessionSecretFile: "+filepath.Join(r.volumes, filepath.Base(file)),
	).Replace(harness.ReadFile(t, filepath.Join(traefik.ExampleDir(), "kubernetes.yml"))))
}

// startReplica changes only what depends on the machine: addresses, and where the API server is.
func (r *replicas) startReplica(t *testing.T, token string) *replica {
	t.Helper()
	started := &replica{test: t}
	addresses := map[string]*string{"immich-key": &started.keyed, "websecure": &started.open, "traefik": &started.health}
	arguments := []string{
		"--global.checkNewVersion=false",
		"--providers.kubernetescrd.endpoint=" + r.url, "--providers.kubernetescrd.token=" + token, "--providers.kubernetescrd.certAuthFilePath=" + r.ca,
	}
	for _, flag := range loadChartValues(t).flags() {
		entryPoint, _, isAddress := strings.Cut(flag, ".address=")
		if isAddress {
			address := harness.FreeAddress(t)
			if wanted := addresses[strings.TrimPrefix(entryPoint, "--entryPoints.")]; wanted != nil {
				*wanted = address
			}
			arguments = append(arguments, entryPoint+".address="+address+"/tcp")
		} else {
			arguments = append(arguments, flag)
		}
	}
	started.program = harness.Program{Path: traefik.MustBuild(t), Arguments: arguments, Dir: harness.ModuleDir(), Log: &harness.Log{}}
	started.start(t)
	return started
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	r.Process = r.program.Start(r.test)
	r.AwaitListening(t, r.keyed, r.open, r.health)
}

// client calls from an address of loopback.
func (r *replicas) client(t *testing.T, from, key string) *http.Client {
	t.Helper()
	client := harness.Client(t, harness.HTTP2)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client.Transport.(*http.Transport).DialContext = dialer.DialContext
	header := http.Header{}
	if key != "" {
		header.Set("X-Access-Key", key)
	}
	return harness.ForSite(client, r.roots, header)
}

const someClient = "127.0.0.1"

// status is 0 without an answer.
func status(t *testing.T, client *http.Client, method, address string, cookies ...*http.Cookie) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://"+address+"/api/server/ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range cookies {
		request.AddCookie(cookie)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// await waits until both replicas answer with the status to a request with the key, and returns how long that took.
func (r *replicas) await(t *testing.T, key string, want int) time.Duration {
	t.Helper()
	client, began := r.client(t, someClient, key), time.Now()
	for _, replica := range []*replica{r.one, r.two} {
		harness.Await(t, fmt.Sprintf("status %d", want), func() bool { return status(t, client, http.MethodGet, replica.keyed) == want })
	}
	return time.Since(began)
}

func (r *replicas) routesAndKeys(t *testing.T) {
	for _, c := range []struct {
		what, key, method string
		keyed             bool
		want              int
	}{
		{"no key", "", http.MethodGet, true, http.StatusForbidden},
		{"a wrong key", "wrong", http.MethodGet, true, http.StatusForbidden},
		{"the first key of the Secret", traefik.ExampleKey, http.MethodGet, true, http.StatusOK},
		{"the second", monitorKey, http.MethodGet, true, http.StatusOK},
		{"the second, which only reads", monitorKey, http.MethodPost, true, http.StatusForbidden},
		{"no key at home", "", http.MethodGet, false, http.StatusOK},
	} {
		for i, replica := range []*replica{r.one, r.two} {
			address := replica.open
			if c.keyed {
				address = replica.keyed
			}
			if got := status(t, r.client(t, someClient, c.key), c.method, address); got != c.want {
				t.Errorf("%s: replica %d answers %d, want %d", c.what, i+1, got, c.want)
			}
		}
	}
}

// monitorKey is the other key of the examples.
const monitorKey = "example-monitor-key-change-me"

// A session counts on both replicas. A log-out counts where it was sent, and the browser forgets the cookie; a copy of it still works on the
// other replica.
func (r *replicas) sessions(t *testing.T) {
	client := r.client(t, someClient, "")
	session := harness.LogIn(t, client, r.one.keyed, traefik.ExampleKey)
	for i, replica := range []*replica{r.one, r.two} {
		if got := status(t, client, http.MethodGet, replica.keyed, session); got != http.StatusOK {
			t.Errorf("the session: replica %d answers %d", i+1, got)
		}
	}
	harness.LogOut(t, client, r.one.keyed, session)
	if got := status(t, client, http.MethodGet, r.one.keyed, session); got != http.StatusForbidden {
		t.Errorf("after logging out: status %d", got)
	}
	if got := status(t, client, http.MethodGet, r.two.keyed, session); got != http.StatusOK {
		t.Errorf("a copy of the cookie, on the other replica: status %d; docs/scale.md says that it works", got)
	}
}

func (r *replicas) lockout(t *testing.T) {
	const guesser = "127.0.0.77"
	for i := range 10 {
		status(t, r.client(t, guesser, fmt.Sprint("guess-", i)), http.MethodGet, r.one.keyed)
	}
	for name, c := range map[string]struct {
		from string
		on   *replica
		want int
	}{
		"that client":                       {guesser, r.one, http.StatusTooManyRequests},
		"that client, on the other replica": {guesser, r.two, http.StatusOK},
		"another client":                    {someClient, r.one, http.StatusOK},
	} {
		if got := status(t, r.client(t, c.from, traefik.ExampleKey), http.MethodGet, c.on.keyed); got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
	}
}

// restart is what a rolling update does to one replica. Uploads continue on both; other requests are answered by the other replica.
func (r *replicas) restart(t *testing.T) {
	client := r.client(t, someClient, traefik.ExampleKey)
	stays := harness.HoldUpload(t, client, "https://"+r.two.keyed+"/api/assets", r.immich, "through-the-other.mp4")
	finishes := harness.HoldUpload(t, client, "https://"+r.one.keyed+"/api/assets", r.immich, "through-the-restarted.mp4")
	r.one.Send(t, syscall.SIGTERM)
	harness.Await(t, "the readiness probe to fail", func() bool { return !isReady(r.one) })
	if got := status(t, r.client(t, someClient, traefik.ExampleKey), http.MethodGet, r.one.keyed); got != http.StatusOK {
		t.Errorf("a new connection while not all nodes know: status %d", got)
	}
	others := r.client(t, "127.0.0.2", traefik.ExampleKey)
	harness.Await(t, "the replica to accept no more connections", func() bool {
		others.CloseIdleConnections()
		if got := status(t, others, http.MethodGet, r.two.keyed); got != http.StatusOK {
			t.Errorf("the other replica: status %d", got)
		}
		return !harness.IsListening(r.one.keyed)
	})
	finishes.Finish(t)
	if err := r.one.Wait(); err != nil {
		t.Error(err)
	}
	r.one.start(t)
	r.await(t, traefik.ExampleKey, http.StatusOK)
	stays.Finish(t)
}

// isReady does what the readiness probe does.
func isReady(r *replica) bool {
	response, err := http.Get("http://" + r.health + "/ping")
	return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

func (r *replicas) revoke(t *testing.T) {
	session := harness.LogIn(t, r.client(t, someClient, ""), r.one.keyed, traefik.ExampleKey)
	upload := harness.HoldUpload(t, r.client(t, someClient, traefik.ExampleKey), "https://"+r.two.keyed+"/api/assets", r.immich, "revoked.mp4")
	r.shell(t, harness.DocumentedCommands(t, "docs/scale.md", "Kubernetes")[2])
	t.Logf("the key was revoked on both replicas after %s", r.await(t, traefik.ExampleKey, http.StatusForbidden))
	r.await(t, monitorKey, http.StatusOK)
	if got := status(t, r.client(t, someClient, ""), http.MethodGet, r.two.keyed, session); got != http.StatusForbidden {
		t.Errorf("its session: status %d", got)
	}
	upload.Finish(t)
}

// mountedKeys has the keys in a file, which takes the kubelet longer.
func (r *replicas) mountedKeys(t *testing.T) {
	volume := t.TempDir()
	r.kubectl(t, "--namespace=traefik", "create", "secret", "generic", "immich-keys", "--from-literal=keys.txt=phone:"+traefik.ExampleKey)
	r.mountSecret(t, "traefik", "immich-keys", volume)
	r.kubectl(t, "--namespace=immich", "patch", "middleware", "immich-key", "--type=merge",
		`--patch={"spec":{"plugin":{"immichaccess":{"keysFile":"`+filepath.Join(volume, "keys.txt")+`"}}}}`)
	r.await(t, traefik.ExampleKey, http.StatusOK)
	r.kubectl(t, "--namespace=traefik", "patch", "secret", "immich-keys", "--type=merge", `--patch={"stringData":{"keys.txt":"# none"}}`)
	r.mountSecret(t, "traefik", "immich-keys", volume)
	t.Logf("the key was revoked on both replicas after %s", r.await(t, traefik.ExampleKey, http.StatusForbidden))
}

// noKeys deletes the Secret. Traefik then has no middleware for the route, and no route.
func (r *replicas) noKeys(t *testing.T) {
	r.kubectl(t, "--namespace=immich", "delete", "secret", "immich-access")
	for _, key := range []string{"", monitorKey} {
		r.await(t, key, http.StatusNotFound)
	}
}
