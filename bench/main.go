// Command bench compares what requests and transfers cost in reverse proxies in front of the same upstream: the standalone
// proxy, others in common use, and a relay that only does TLS, which is the lower bound. It measures the processor time of the
// proxy's processes alone, in several rounds in which the proxies take turns, so that ratios hold although machines differ and
// their speed changes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// options are the command's flags.
type options struct {
	rounds   int
	requests int
	transfer int64 // MB
	answer   int
	peers    string
	loads    string
	ours     string
	caddy    string
	json     string
}

func main() {
	if isFloor(os.Args) {
		fatal(runFloor(os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each proxy has its turn")
	flag.IntVar(&o.requests, "requests", 4000, "requests a turn")
	flag.Int64Var(&o.transfer, "transfer", 256, "megabytes a turn")
	flag.IntVar(&o.answer, "answer", 1000, "bytes of the response to a request")
	flag.StringVar(&o.peers, "peers", "floor,ours,nginx,haproxy,caddy", "proxies to compare; those that are not installed are an error")
	flag.StringVar(&o.loads, "loads", strings.Join(loadNames(), ","), "what to measure")
	flag.StringVar(&o.ours, "ours", "", "binaries of the standalone proxy, as name=path,…, instead of the one that this repository builds")
	flag.StringVar(&o.caddy, "caddy", "", "binary of Caddy, instead of one built from its module")
	flag.StringVar(&o.json, "json", "", "file to write the results to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o); err != nil {
		stop()
		fatal(err)
	}
}

// isFloor is true of the arguments with which this program starts itself as the relay.
func isFloor(arguments []string) bool {
	const count = 6
	return len(arguments) == count && arguments[1] == "floor"
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	up, err := startUpstream(o.answer)
	if err != nil {
		return err
	}
	defer up.Close()
	s := &site{dir: dir, upstream: up.address}
	if err := s.writeCertificate(); err != nil {
		return err
	}
	peers, err := o.startPeers(ctx, s)
	defer func() {
		for _, p := range peers {
			p.stop()
		}
	}()
	if err != nil {
		return err
	}
	results, err := measure(ctx, o, s, peers)
	results.print(os.Stdout) // even after an error, as far as it was measured
	if err != nil || o.json == "" {
		return err
	}
	text, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(text, '\n'), 0o600)
}

// startPeers also returns the ones started before an error.
func (o *options) startPeers(ctx context.Context, s *site) ([]*peer, error) {
	var peers []*peer
	for name := range strings.SplitSeq(o.peers, ",") {
		started, err := o.startPeer(ctx, s, name)
		peers = append(peers, started...)
		if err != nil {
			return peers, fmt.Errorf("%s: %w", name, err)
		}
	}
	return peers, nil
}

func (o *options) startPeer(ctx context.Context, s *site, name string) ([]*peer, error) {
	switch name {
	case "floor":
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return startOne(ctx, s, "floor", self, http1Only, "", func(at *place) []string {
			return []string{"floor", at.address, s.upstream, s.certFile, s.keyFile}
		})
	case "ours":
		return o.startOurs(ctx, s)
	case "nginx":
		return startOne(ctx, s, name, "nginx", http1And2, "nginx.conf", func(at *place) []string {
			return []string{"-c", at.config, "-p", at.dir, "-e", "stderr"}
		})
	case "haproxy":
		return startOne(ctx, s, name, "haproxy", http1And2, "haproxy.cfg", func(at *place) []string {
			return []string{"-db", "-f", at.config}
		})
	case "caddy":
		binary := o.caddy
		if binary == "" {
			var err error
			if binary, err = build(ctx, s, "caddy", "integration/doctor/caddy", "github.com/caddyserver/caddy/v2/cmd/caddy"); err != nil {
				return nil, err
			}
		}
		return startOne(ctx, s, name, binary, http1To3, "Caddyfile", func(at *place) []string {
			return []string{"run", "--config", at.config, "--adapter", "caddyfile"}
		})
	default:
		return nil, errors.New("there is no such proxy here")
	}
}

// startOurs starts the standalone proxy, or several builds of it, to be compared with each other.
func (o *options) startOurs(ctx context.Context, s *site) ([]*peer, error) {
	binaries := o.ours
	if binaries == "" {
		binary, err := build(ctx, s, "immichaccess", ".", "./cmd/standalone")
		if err != nil {
			return nil, err
		}
		binaries = "ours=" + binary
	}
	var peers []*peer
	for text := range strings.SplitSeq(binaries, ",") {
		name, binary, _ := strings.Cut(text, "=")
		started, err := startOne(ctx, s, name, binary, http1To3, "immichaccess.yml", func(at *place) []string {
			return []string{"--configFile=" + at.config}
		})
		peers = append(peers, started...)
		if err != nil {
			return peers, err
		}
	}
	return peers, nil
}

// build compiles a program of this repository, or of the module of one of its directories.
func build(ctx context.Context, s *site, name, module, target string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "-m").Output()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(s.dir, name)
	command := exec.CommandContext(ctx, "go", "build", "-o", binary, target)
	command.Dir = filepath.Join(strings.TrimSpace(string(root)), "..", module)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return binary, nil
}
