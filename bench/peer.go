package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed peers
var configurations embed.FS

const accessKey = "correct-horse-battery-staple"

// protocols are those that a proxy offers to clients.
type protocols int

const (
	http1Only protocols = 1
	http1And2 protocols = 2
	http1To3  protocols = 3
)

// site is what the proxies have in common.
type site struct {
	dir               string
	upstream          string
	certFile, keyFile string
	pemFile           string
	roots             *x509.CertPool
}

func (s *site) writeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(certificate)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	s.certFile, s.keyFile, s.pemFile = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem"), filepath.Join(s.dir, "both.pem")
	return errors.Join(os.WriteFile(s.certFile, certText, 0o600), os.WriteFile(s.keyFile, keyText, 0o600),
		os.WriteFile(s.pemFile, slices.Concat(certText, keyText), 0o600))
}

// place is where one proxy runs.
type place struct {
	dir        string
	address    string
	config     string // file
	middleware string
}

// kind is a proxy that can be started.
type kind struct {
	name       string
	binary     string
	speaks     protocols
	files      []string // of its configuration; the first is the one that it is told of
	middleware string   // of Traefik
	dir        string   // where it runs, if not beside its configuration
	arguments  func(*place) []string
}

// peer is a running proxy.
type peer struct {
	name     string
	speaks   protocols
	address  string
	began    time.Time
	answered time.Time
	command  *exec.Cmd
	log      *strings.Builder // when it has ended
	ended    chan struct{}
}

// start runs the proxy, and returns when it answers.
func (k kind) start(ctx context.Context, s *site) (*peer, error) {
	path, err := exec.LookPath(k.binary)
	if err != nil {
		return nil, err
	}
	at := &place{middleware: k.middleware}
	if at.dir, err = os.MkdirTemp(s.dir, k.name); err != nil {
		return nil, err
	}
	if at.address, err = freeAddress(); err != nil {
		return nil, err
	}
	for _, name := range k.files {
		text, err := configurations.ReadFile("peers/" + name)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(at.dir, name)
		if err := os.WriteFile(file, []byte(s.fill(at, string(text))), 0o600); err != nil {
			return nil, err
		}
		if at.config == "" {
			at.config = file
		}
	}
	p := &peer{name: k.name, speaks: k.speaks, address: at.address, log: &strings.Builder{}, ended: make(chan struct{})}
	p.command = exec.CommandContext(ctx, path, k.arguments(at)...)
	p.command.Dir, p.command.Stdout, p.command.Stderr = at.dir, p.log, p.log
	if k.dir != "" {
		p.command.Dir = k.dir
	}
	p.command.Env = append(os.Environ(), "HOME="+at.dir, "XDG_DATA_HOME="+at.dir, "XDG_CONFIG_HOME="+at.dir)
	p.began = time.Now()
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	return p, p.await(ctx, s)
}

func (s *site) fill(at *place, text string) string {
	_, port, _ := net.SplitHostPort(at.address)
	return strings.NewReplacer("$DIR", at.dir, "$ADDR", at.address, "$PORT", port, "$UPSTREAM", s.upstream,
		"$CERT", s.certFile, "$TLSKEY", s.keyFile, "$PEM", s.pemFile, "$KEY", accessKey, "$MIDDLEWARE", at.middleware).Replace(text)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await returns when a request is answered.
func (p *peer) await(ctx context.Context, s *site) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		c := newClient(s, p.address)
		err := c.ask(ctx, c.http1)
		c.close()
		if err == nil {
			p.answered = time.Now()
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it has ended:\n%s", p.log)
		case <-ctx.Done():
			p.stop()
			return fmt.Errorf("it does not answer: %w\n%s", err, p.log)
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *peer) stop() {
	_ = p.command.Process.Signal(unix.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// processorTime is that of the process and its children, which the kernel counts in nanoseconds.
func (p *peer) processorTime() (time.Duration, error) {
	total := time.Duration(0)
	for _, pid := range family(p.command.Process.Pid) {
		var spent unix.Timespec
		if err := unix.ClockGettime(processClock(pid), &spent); err != nil {
			return 0, fmt.Errorf("%s: the processor time of process %d: %w", p.name, pid, err)
		}
		total += time.Duration(spent.Nano())
	}
	return total, nil
}

// processClock is what clock_getcpuclockid(3) returns.
func processClock(pid int) int32 {
	const schedulerClock = 2
	return int32(^pid<<3 | schedulerClock) //nolint:gosec // process numbers are no larger than 2^22
}

func family(pid int) []int {
	members := []int{pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // no children is not an error
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			members = append(members, family(child)...)
		}
	}
	return members
}
