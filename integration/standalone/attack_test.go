// Package standalone tests the standalone proxy as a program. Nothing here links or runs Traefik.
package standalone

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// How much clients without a key can make the proxy spend. The proxy runs as a separate program, with a memory limit, while
// clients with the key keep making requests.

const (
	mostMemory = 128 << 20
	key        = "correct-horse-battery-staple"
	manyConns  = 1000
)

// target is a proxy that is attacked.
type target struct {
	address string
	process *harness.Process
	memory  *harness.Memory
}

func startTarget(t *testing.T, arguments ...string) *target {
	t.Helper()
	_, upstream := harness.ServeImmich(t)
	d := &target{address: harness.FreeAddress(t), memory: harness.LimitMemory(t, mostMemory)}
	arguments = append([]string{"--upstreams=" + upstream, "--listen.https=" + d.address, "--listen.http=", "--access.logDenied=false",
		"--access.keys=phone:" + key}, arguments...)
	d.process = d.memory.Start(t, harness.Binary(t), arguments...)
	harness.Await(t, "the proxy", func() bool { return d.request(newClient(harness.HTTP2)) == nil })
	return d
}

// newClient has its own connections.
func newClient(protocol string) *http.Client {
	client := harness.NewClient(protocol)
	client.Timeout = time.Minute
	return client
}

func (d *target) request(client *http.Client) error {
	defer harness.CloseClient(client)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+d.address+"/api/server/ping", nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Access-Key", key)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}

// attack is an attack on d, which lasts until the returned function is called.
type attack func(t *testing.T, d *target) (end func())

// TestAttackersCostLittle attacks the same proxy with one attack after the other.
func TestAttackersCostLittle(t *testing.T) {
	d := startTarget(t)
	before := d.process.Memory(t)
	for _, c := range []struct {
		name   string
		attack attack
	}{
		{"unfinished heads of HTTP/1.1", unfinishedHeads},
		{"unfinished heads of HTTP/2", unfinishedHTTP2},
		{"abandoned QUIC handshakes", abandonedHandshakes},
		{"half requests over QUIC", halfRequests},
		{"large heads and trailers over HTTP/3", largeFieldSections},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.underAttack(t, c.attack)
			d.memory.Check(t, d.process)
			t.Logf("the log: %s", d.process.Log)
			since := time.Now()
			// A Go program uses more memory after its first thousand clients than at the start.
			const settled = 40 << 20
			harness.Await(t, "the memory to be back", func() bool { return d.process.Memory(t) < before+settled })
			if waited := time.Since(since); waited > time.Minute {
				t.Errorf("the memory is back after %s", waited)
			}
			t.Logf("%d MB after %s; %d MB at the start", d.process.Memory(t)>>20, time.Since(since), before>>20)
		})
	}
}

// validClients make requests with the key over every protocol, on a new connection each time, until they are stopped. The
// result is the 90th percentile of the time to the response, for each protocol; a missing response counts as very long.
func (d *target) validClients(t *testing.T) (stop func() []time.Duration) {
	t.Helper()
	const never = time.Hour
	stopped := make(chan struct{})
	var requesting sync.WaitGroup
	waits := make([][]time.Duration, len(harness.Protocols))
	for i, protocol := range harness.Protocols {
		requesting.Go(func() {
			for !d.process.Ended() {
				begun := time.Now()
				err := d.request(newClient(protocol))
				wait := time.Since(begun)
				if err != nil {
					t.Logf("a client with the key of %s: %v", protocol, err)
					wait = never
				}
				waits[i] = append(waits[i], wait)
				select {
				case <-stopped:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	return func() []time.Duration {
		close(stopped)
		requesting.Wait()
		most := make([]time.Duration, len(harness.Protocols))
		for i := range harness.Protocols {
			slices.Sort(waits[i])
			most[i] = waits[i][len(waits[i])*9/10]
		}
		return most
	}
}

// underAttack also logs how long the clients with the key wait without the attack, which is long on a busy machine.
func (d *target) underAttack(t *testing.T, attack attack) {
	t.Helper()
	stop := d.validClients(t)
	time.Sleep(2 * time.Second)
	atRest := stop()
	stop = d.validClients(t)
	end := attack(t, d)
	time.Sleep(3 * time.Second) // while the attack lasts
	attacked := stop()
	end()
	for i, protocol := range harness.Protocols {
		most := time.Second
		t.Logf("%s: nine of ten are answered within %s; without the attack, within %s", protocol, attacked[i], atRest[i])
		if attacked[i] > most {
			t.Errorf("a client with the key of %s waits for %s; at most it should be %s", protocol, attacked[i], most)
		}
	}
}

// inParallel calls a function count times, some of them in parallel, so that the attackers leave some of the machine to the
// proxy.
func inParallel(count int, do func(i int)) {
	const attackers = 16
	var next atomic.Int64
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(count); i = next.Add(1) {
				do(int(i - 1))
			}
		})
	}
	all.Wait()
}

// connect opens TLS connections, and returns a function that closes them.
func (d *target) connect(t *testing.T, count int, protocol string, begin func(conn net.Conn)) (conns []net.Conn, end func()) {
	t.Helper()
	conns = make([]net.Conn, count)
	inParallel(count, func(i int) {
		dialer := &tls.Dialer{Config: harness.AnyCertificate(protocol)}
		conn, err := dialer.DialContext(t.Context(), "tcp", d.address)
		if err != nil {
			return // refused, which is fine
		}
		conns[i] = conn
		_ = conn.SetWriteDeadline(time.Now().Add(harness.Patience))
		begin(conn)
	})
	conns = slices.DeleteFunc(conns, func(conn net.Conn) bool { return conn == nil })
	return conns, func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// unfinishedHeads first sends as much as may still be a head, and then the rest of 240 KB.
func unfinishedHeads(t *testing.T, d *target) func() {
	t.Helper()
	line := "X-Filling: " + strings.Repeat("a", 1000) + "\r\n"
	conns, end := d.connect(t, manyConns, "http/1.1", func(conn net.Conn) {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat(line, 30))
	})
	time.Sleep(time.Second)
	inParallel(len(conns), func(i int) {
		_ = conns[i].SetWriteDeadline(time.Now().Add(time.Second)) // it need not be read
		_, _ = io.WriteString(conns[i], strings.Repeat(line, 210))
	})
	return end
}

// unfinishedHTTP2 sends HEADERS and a CONTINUATION, and not the last.
func unfinishedHTTP2(t *testing.T, d *target) func() {
	t.Helper()
	block := strings.Repeat(literalField("filling", 1000), 15)
	const headers, continuation = 1, 9
	_, end := d.connect(t, manyConns, "h2", func(conn net.Conn) {
		_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+http2Frame(4, 0, "")+http2Frame(headers, 1, block)+http2Frame(continuation, 1, block))
	})
	return end
}

// literalField is a field as HPACK encodes it without an index, with a value of that many bytes.
func literalField(name string, size int) string {
	const most = 127 // the longest length that fits in the first byte's seven bits
	length := size - most
	encoded := []byte{0, byte(len(name))}
	encoded = append(encoded, name...)
	encoded = append(encoded, most)
	for ; length >= 128; length >>= 7 {
		encoded = append(encoded, byte(length)|128)
	}
	encoded = append(encoded, byte(length))
	return string(encoded) + strings.Repeat("a", size)
}

func http2Frame(kind byte, stream byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, 0, 0, 0, 0, stream}) + payload
}

// With 4 MB of keys and 10,000 locked-out clients, the memory also stays within the limit, and a client with the key is
// accepted.
func TestKeysAndLockoutsCostLittle(t *testing.T) {
	const clients, wrongKeys = 10_000, 3
	var keys strings.Builder
	for i := 0; keys.Len() < 4<<20-200; i++ {
		fmt.Fprintf(&keys, "key%d:sha256:%x methods=GET,HEAD\n", i, sha256.Sum256(fmt.Append(nil, i)))
	}
	file := filepath.Join(t.TempDir(), "keys.txt")
	harness.WriteFile(t, file, keys.String())
	d := startTarget(t, "--access.keysFile="+file, fmt.Sprint("--access.maxWrongKeys=", wrongKeys), "--access.trustedProxies=loopback")
	client := newClient(harness.HTTP2)
	status := func(from, key string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+d.address+"/api/server/ping", nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		request.Header.Set("X-Access-Key", key)
		request.Header.Set("X-Forwarded-For", from)
		response, err := client.Do(request)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		return response.StatusCode
	}
	address := func(i int) string { return fmt.Sprintf("10.9.%d.%d", i>>8, i&255) }
	inParallel(clients, func(i int) {
		for j := range wrongKeys {
			if got := status(address(i), fmt.Sprintf("wrong-%d", j)); got != http.StatusForbidden {
				t.Errorf("client %d, wrong key %d: status %d", i, j, got)
			}
		}
	})
	for i := 0; i < clients; i += clients / 100 {
		if got := status(address(i), key); got != http.StatusTooManyRequests {
			t.Errorf("client %d: status %d", i, got)
		}
	}
	if got := status("10.8.0.1", key); got != http.StatusOK {
		t.Errorf("a client with the key: status %d", got)
	}
	d.memory.Check(t, d.process)
}
