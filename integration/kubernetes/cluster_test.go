//go:build slow

package kubernetes

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
	corev1 "k8s.io/api/core/v1"
)

// cluster is Kubernetes without nodes: the real API server, with its authentication and authorization, and the real etcd behind it.
type cluster struct {
	url        string
	ca         string // PEM file
	kubeconfig string // of an administrator
}

// adminToken is what the administrator authenticates with.
const adminToken = "the-token-of-the-administrator"

func startCluster(t *testing.T) *cluster {
	t.Helper()
	folder, address := t.TempDir(), harness.FreeAddress(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	c := &cluster{url: "https://" + address, ca: file("cert.pem"), kubeconfig: file("kubeconfig")}
	harness.WriteCertificate(t, c.ca, file("key.pem"))
	writeSigningKey(t, file("accounts.pem"))
	harness.WriteFile(t, file("tokens.csv"), adminToken+",admin,admin,system:masters\n")
	harness.WriteFile(t, c.kubeconfig, kubeconfig(c))
	server := harness.Start(t, build(t, "kube-apiserver"),
		"--etcd-servers="+startEtcd(t),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", harness.Port(t, address)), "--cert-dir="+folder,
		"--tls-cert-file="+c.ca, "--tls-private-key-file="+file("key.pem"),
		"--token-auth-file="+file("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+file("accounts.pem"), "--service-account-signing-key-file="+file("accounts.pem"),
		"--service-cluster-ip-range=10.96.0.0/16",
	)
	server.AwaitListening(t, address)
	harness.Await(t, "the API server to be ready", func() bool { return c.command("kubectl", "get", "--raw", "/readyz").Run() == nil })
	return c
}

// build compiles a program of Kubernetes, which takes minutes the first time.
func build(t *testing.T, name string) string {
	t.Helper()
	return harness.MustGoBuild(t, name, filepath.Join(harness.ModuleDir(), "kubernetes", "apiserver"), "k8s.io/kubernetes/cmd/"+name)
}

func startEtcd(t *testing.T) (url string) {
	t.Helper()
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatal("etcd is not installed; Debian has it in the package etcd-server")
	}
	address := harness.FreeAddress(t)
	url, peers := "http://"+address, "http://"+harness.FreeAddress(t)
	harness.Start(t, etcd, "--data-dir="+filepath.Join(t.TempDir(), "etcd"), "--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers).AwaitListening(t, address)
	return url
}

// writeSigningKey makes the key that signs the tokens of service accounts.
func writeSigningKey(t *testing.T, name string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, name, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
}

func kubeconfig(c *cluster) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`, c.url, c.ca, adminToken)
}

// command runs in the repository, as in the documentation; it finds kubectl, and kubectl the cluster.
func (c *cluster) command(name string, arguments ...string) *exec.Cmd {
	programs := filepath.Join(harness.ModuleDir(), "build")
	if name == "kubectl" {
		name = filepath.Join(programs, name)
	}
	command := exec.CommandContext(context.Background(), name, arguments...)
	command.Dir = harness.RepositoryDir()
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+programs+":"+os.Getenv("PATH"))
	return command
}

func (c *cluster) kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	return output(t, c.command("kubectl", arguments...))
}

// shell runs a command of the documentation.
func (c *cluster) shell(t *testing.T, script string) {
	t.Helper()
	output(t, c.command("bash", "-euo", "pipefail", "-c", script))
}

// apply makes or changes objects.
func (c *cluster) apply(t *testing.T, objects string) {
	t.Helper()
	command := c.command("kubectl", "apply", "--filename=-")
	command.Stdin = strings.NewReader(objects)
	output(t, command)
}

func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var errors strings.Builder
	command.Stderr = &errors
	text, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command.Args, " "), err, text, &errors)
	}
	return string(text)
}

// installTraefik makes Traefik's resources known, and returns the token of a service account that may do what Traefik's documentation says
// that it needs.
func (c *cluster) installTraefik(t *testing.T) (token string) {
	t.Helper()
	c.apply(t, published(t, "definition-v1"))
	c.kubectl(t, "wait", "--for=condition=established", "--timeout=120s", "crd", "--all")
	c.apply(t, published(t, "rbac"))
	c.kubectl(t, "create", "serviceaccount", "traefik-ingress-controller")
	return strings.TrimSpace(c.kubectl(t, "create", "token", "traefik-ingress-controller"))
}

// serveImmich runs a fake Immich as a Service. Nothing in the cluster makes the EndpointSlice, so the test does. Its address can't be one of
// loopback, which the API server refuses.
func (c *cluster) serveImmich(t *testing.T) *fakeimmich.Server {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(ownAddress(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	immich := fakeimmich.New()
	server := immich.HTTPServer()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	address := listener.Addr().(*net.TCPAddr)
	c.apply(t, fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: immich-server, namespace: immich}
spec: {ports: [{port: 2283}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: immich-server-1, namespace: immich, labels: {kubernetes.io/service-name: immich-server}}
addressType: IPv4
ports: [{name: "", port: %d}]
endpoints: [{addresses: [%q], conditions: {ready: true}}]
`, address.Port, address.IP))
	return immich
}

func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	t.Fatal("this machine has no IPv4 address besides those of loopback")
	return ""
}

// mountSecret is the kubelet's part of a volume with a Secret: it writes the content to a new directory, and then replaces the symbolic link
// that leads there in one step. The kubelet takes up to a minute and a half to notice a change; this is done at once.
func (c *cluster) mountSecret(t *testing.T, namespace, name, volume string) {
	t.Helper()
	var secret corev1.Secret
	if err := json.Unmarshal([]byte(c.kubectl(t, "--namespace="+namespace, "get", "secret", name, "--output=json")), &secret); err != nil {
		t.Fatal(err)
	}
	version, err := os.MkdirTemp(volume, "..")
	if err != nil {
		t.Fatal(err)
	}
	current := filepath.Join(volume, "..data")
	for key, content := range secret.Data {
		harness.WriteFile(t, filepath.Join(version, key), string(content))
		link(t, filepath.Join("..data", key), filepath.Join(volume, key))
	}
	link(t, filepath.Base(version), current+"_tmp")
	if err := os.Rename(current+"_tmp", current); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}
