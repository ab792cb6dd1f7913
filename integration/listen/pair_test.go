package listen_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// pair is two instances of our proxy with the files of examples/scale: one configuration, one storage, one Immich, and HAProxy in front.
type pair struct {
	site

	keysFile  string
	instances [2]*instance
}

type instance struct {
	*harness.Process

	program     harness.Program
	test        *testing.T // until whose end it runs
	https, http string
}

const otherKey = "example-monitor-key-change-me"

// newPair gets its certificate from Pebble, which validates at the load balancer.
func newPair(t *testing.T) (*pair, *harness.Pebble) {
	t.Helper()
	p := &pair{site: site{dir: t.TempDir(), immich: fakeimmich.New()}}
	p.upstream = harness.Serve(t, p.immich.HTTPServer())
	p.keysFile = p.write(t, "keys.txt", "phone:"+key+"\nmonitor:"+otherKey+"\n")
	ca := harness.StartPebble(t, harness.PebbleOptions{})
	p.front = ca.HTTPS
	config := p.write(t, "immichaccess.yml", harness.Example(t, "scale/immichaccess.yml",
		"http://192.0.2.20:2283", p.upstream, "192.0.2.10", vps,
		"storage: /srv/immichaccess", "storage: "+p.file("storage"), "/srv/immichaccess/keys.txt", p.keysFile))
	for i := range p.instances {
		n := &instance{test: t, https: harness.FreeAddress(t), http: harness.FreeAddress(t)}
		n.program = harness.Program{Path: harness.Binary(t), Log: &harness.Log{}, Arguments: []string{
			"--configFile=" + config, "--listen.https=" + n.https, "--listen.http=" + n.http,
			"--acme.server=" + ca.Directory, "--acme.trustedRoots=" + ca.Roots,
		}}
		p.instances[i] = n
	}
	p.startBalancer(t, ca.HTTP) // through which the CA asks
	for _, n := range p.instances {
		n.start(t)
	}
	p.awaitCertificate(t, ca)
	return p, ca
}

func (n *instance) start(t *testing.T) {
	t.Helper()
	n.Process = n.program.Start(n.test)
	n.AwaitListening(t, n.https, n.http)
}

// startBalancer runs HAProxy, which calls from the address that the instances believe. No health check fails often enough for it to
// notice: it has to find another instance for each connection that is refused.
func (p *pair) startBalancer(t *testing.T, http string) {
	t.Helper()
	replacements := []string{":443", p.front, ":80", http}
	for i, n := range p.instances {
		server := fmt.Sprintf("192.0.2.1%d", i+1)
		replacements = append(replacements,
			server+":443 send-proxy-v2 check", n.https+" source "+vps+" send-proxy-v2 check fall 1000",
			server+":80 send-proxy-v2 check", n.http+" source "+vps+" send-proxy-v2 check fall 1000")
	}
	config := p.write(t, "haproxy.cfg", harness.Example(t, "scale/haproxy.cfg", replacements...))
	harness.Start(t, harness.Tool(t, "haproxy"), "-db", "-f", config).AwaitListening(t, p.front, http)
}

// awaitCertificate waits until both show the same certificate of the CA.
func (p *pair) awaitCertificate(t *testing.T, ca *harness.Pebble) {
	t.Helper()
	harness.Await(t, "both to have a certificate", func() bool {
		one, two := harness.Certificate(p.instances[0].https, harness.Domain), harness.Certificate(p.instances[1].https, harness.Domain)
		return one != nil && two != nil && one.Equal(two)
	})
	if ca.Issued() != 1 {
		t.Errorf("the CA has issued %d certificates", ca.Issued())
	}
	roots := output(t, ca.Client(t), ca.Management+"/roots/0")
	p.roots = harness.CertPool(t, roots)
}

func output(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, body := send(t, c, request)
	return body
}

// caller verifies the certificate, has connections of its own, and calls from an address of loopback.
func (p *pair) caller(t *testing.T, from, key string) *http.Client {
	t.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("X-Access-Key", key)
	}
	c := harness.Client(t, harness.HTTP2)
	c.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext
	return harness.ForSite(c, p.roots, header)
}

// status is 0 without an answer.
func (p *pair) status(t *testing.T, c *http.Client, address string, cookies ...*http.Cookie) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/api/server/ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range cookies {
		request.AddCookie(cookie)
	}
	response, err := c.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func (p *pair) wantStatus(t *testing.T, what string, want int, c *http.Client, address string, cookies ...*http.Cookie) {
	t.Helper()
	if got := p.status(t, c, address, cookies...); got != want {
		t.Errorf("%s: status %d, want %d", what, got, want)
	}
}

func TestTwoInstances(t *testing.T) {
	t.Parallel()
	p, _ := newPair(t)
	t.Run("the configuration", p.passesCheck)
	t.Run("the client's address", p.passesAddresses)
	t.Run("a session counts on both", p.sharesSessions)
	t.Run("each counts wrong keys for itself", p.countsWrongKeys)
	t.Run("one is restarted", p.restartsOne)
	t.Run("a key is revoked", p.revokesAKey)
}

// passesCheck runs the command of the documentation.
func (p *pair) passesCheck(t *testing.T) {
	command := strings.NewReplacer("build/immichaccess", harness.Binary(t), "examples/scale/immichaccess.yml", p.file("immichaccess.yml")).
		Replace(harness.DocumentedCommands(t, "docs/scale.md", "Two standalone proxies")[0])
	if text, err := exec.Command("bash", "-euc", command).CombinedOutput(); err != nil || !strings.Contains(string(text), "The configuration is valid") {
		t.Errorf("%s%v: %s", command, err, text)
	}
}

func (p *pair) passesAddresses(t *testing.T) {
	seen := output(t, p.caller(t, client, key), "https://"+p.front+"/nothing")
	if !strings.Contains(seen, `"X-Real-Ip":["`+client+`"]`) {
		t.Errorf("Immich sees %s", seen)
	}
}

// A session counts on both. A log-out counts where it was sent, and the browser forgets the cookie; a copy of it still works on the other.
func (p *pair) sharesSessions(t *testing.T) {
	one, two, browser := p.instances[0].https, p.instances[1].https, p.caller(t, client, "")
	session := harness.LogIn(t, browser, one, key)
	p.wantStatus(t, "where it began", http.StatusOK, browser, one, session)
	p.wantStatus(t, "on the other", http.StatusOK, browser, two, session)
	harness.LogOut(t, browser, one, session)
	p.wantStatus(t, "after logging out", http.StatusForbidden, browser, one, session)
	p.wantStatus(t, "a copy of the cookie, on the other, as docs/scale.md says", http.StatusOK, browser, two, session)
}

func (p *pair) countsWrongKeys(t *testing.T) {
	const guesser = "127.0.0.66"
	one, two := p.instances[0].https, p.instances[1].https
	for i := range 10 {
		p.status(t, p.caller(t, guesser, fmt.Sprint("guess-", i)), one)
	}
	p.wantStatus(t, "that client", http.StatusTooManyRequests, p.caller(t, guesser, key), one)
	p.wantStatus(t, "that client, on the other", http.StatusOK, p.caller(t, guesser, key), two)
	p.wantStatus(t, "another client", http.StatusOK, p.caller(t, client, key), one)
}

// restartsOne has an upload through each. While one of them stops, the load balancer has the other one serve all clients.
func (p *pair) restartsOne(t *testing.T) {
	one, two, c := p.instances[0], p.instances[1], p.caller(t, client, key)
	stays := harness.HoldUpload(t, c, "https://"+two.https+"/api/assets", p.immich, "through-the-other.mp4")
	finishes := harness.HoldUpload(t, c, "https://"+one.https+"/api/assets", p.immich, "through-the-restarted.mp4")
	one.Send(t, syscall.SIGTERM)
	harness.Await(t, "the instance to accept no more connections", func() bool { return !harness.IsListening(one.https) })
	for i := range 16 { // of which some belong to each
		from := fmt.Sprintf("127.0.1.%d", i+1)
		p.wantStatus(t, from+", through the load balancer", http.StatusOK, p.caller(t, from, key), p.front)
	}
	finishes.Finish(t)
	if err := one.Wait(); err != nil {
		t.Error(err)
	}
	one.start(t)
	p.wantStatus(t, "after the restart", http.StatusOK, p.caller(t, client, key), one.https)
	stays.Finish(t)
}

func (p *pair) revokesAKey(t *testing.T) {
	session := harness.LogIn(t, p.caller(t, client, ""), p.instances[0].https, key)
	harness.ReplaceFile(t, p.keysFile, "monitor:"+otherKey+"\n")
	for _, n := range p.instances {
		harness.Await(t, "the key to be revoked", func() bool { return p.status(t, p.caller(t, client, key), n.https) == http.StatusForbidden })
		p.wantStatus(t, "its session", http.StatusForbidden, p.caller(t, client, ""), n.https, session)
		p.wantStatus(t, "the other key", http.StatusOK, p.caller(t, client, otherKey), n.https)
	}
}

// With storages of their own, instances share sessions if they have the same secret.
func TestSessionSecretFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := s.write(t, "secret", strings.Repeat("0123456789abcdef", 2))
	var session *http.Cookie
	for i, address := range []string{harness.FreeAddress(t), harness.FreeAddress(t)} {
		process := harness.Start(t, harness.Binary(t), "--upstreams="+s.upstream, "--listen.https="+address, "--listen.http=",
			"--tls.certFile="+s.file("cert.pem"), "--tls.keyFile="+s.file("key.pem"), "--acme.storage="+filepath.Join(s.dir, fmt.Sprint(i)),
			"--access.keys=phone:"+key, "--access.browserLogin=true", "--access.sessionSecretFile="+secret)
		process.AwaitListening(t, address)
		p := &pair{site: *s}
		if session == nil {
			session = harness.LogIn(t, p.caller(t, client, ""), address, key)
		}
		p.wantStatus(t, fmt.Sprint("instance ", i+1), http.StatusOK, p.caller(t, client, ""), address, session)
	}
}
