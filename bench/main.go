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
	traefik  string
	json     string
	plot     string
	page     string
	parts    string
}

func main() {
	if isFloor(os.Args) {
		fatal(runFloor(os.Args[2], os.Args[3], os.Args[4], os.Args[5]))
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 7, "how often each proxy has its turn")
	flag.IntVar(&o.requests, "requests", 2400, "requests a turn")
	flag.Int64Var(&o.transfer, "transfer", 100, "megabytes a turn")
	flag.IntVar(&o.answer, "answer", 1000, "bytes of the response to a request")
	flag.StringVar(&o.peers, "peers", "floor,ours,haproxy,nginx,nginx-tuned,caddy,traefik", "proxies to compare; those that are not installed are an error")
	flag.StringVar(&o.loads, "loads", strings.Join(loadNames(), ","), "what to measure")
	flag.StringVar(&o.ours, "ours", "", "binaries of the standalone proxy, as name=path,…, instead of the one that this repository builds")
	flag.StringVar(&o.caddy, "caddy", "", "binary of Caddy, instead of one built from its module")
	flag.StringVar(&o.traefik, "traefik", "", "binary of Traefik, instead of one built from its module, which takes minutes the first time")
	flag.StringVar(&o.parts, "ours-alone", strings.Join(partNames(), ","), "what to measure of the standalone proxy alone")
	flag.StringVar(&o.json, "json", "", "file to write the results to")
	flag.StringVar(&o.plot, "plot", "", "file to draw the results in, as SVG")
	flag.StringVar(&o.page, "page", "", "Markdown file in which to replace the tables")
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
	r := newResults(o)
	err = o.comparePeers(ctx, s, r)
	if err == nil {
		err = o.measureOurs(ctx, s, r)
	}
	r.print(os.Stdout) // also what was measured before an error
	if err != nil {
		return err
	}
	return o.write(r)
}

// comparePeers runs all at the same time: those that have nothing to do cost nothing.
func (o *options) comparePeers(ctx context.Context, s *site, r *results) error {
	if o.peers == "" {
		return nil
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
	return r.compare(ctx, o, s, peers)
}

// write puts the results where the command line says.
func (o *options) write(r *results) error {
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil { //nolint:gosec // no secret
			return err
		}
	}
	if o.plot != "" {
		if err := os.WriteFile(o.plot, []byte(r.plot()), 0o644); err != nil { //nolint:gosec // no secret
			return err
		}
	}
	if o.page == "" {
		return nil
	}
	return r.writePage(o.page)
}

// startPeers also returns the ones started before an error.
func (o *options) startPeers(ctx context.Context, s *site) ([]*peer, error) {
	var peers []*peer
	for name := range strings.SplitSeq(o.peers, ",") {
		kinds, err := o.kindsOf(ctx, s, name)
		for _, k := range kinds {
			var p *peer
			if p, err = k.start(ctx, s); err != nil {
				break
			}
			peers = append(peers, p)
		}
		if err != nil {
			return peers, fmt.Errorf("%s: %w", name, err)
		}
	}
	return peers, nil
}

// kindsOf returns what there is to start by that name: one proxy, or several builds of the standalone proxy.
func (o *options) kindsOf(ctx context.Context, s *site, name string) ([]kind, error) {
	switch name {
	case "floor":
		self, err := os.Executable()
		return []kind{{name: "floor", binary: self, speaks: http1Only, arguments: func(at *place) []string {
			return []string{"floor", at.address, s.upstream, s.certFile, s.keyFile}
		}}}, err
	case "ours":
		return o.ourKinds(ctx, s)
	case "nginx", "nginx-tuned":
		return []kind{{name: name, binary: "nginx", speaks: http1And2, files: []string{name + ".conf"}, arguments: func(at *place) []string {
			return []string{"-c", at.config, "-p", at.dir, "-e", "stderr"}
		}}}, nil
	case "haproxy":
		return []kind{{name: name, binary: "haproxy", speaks: http1And2, files: []string{"haproxy.cfg"}, arguments: func(at *place) []string {
			return []string{"-db", "-f", at.config}
		}}}, nil
	case "caddy":
		binary, err := o.binary(ctx, o.caddy, filepath.Join(s.dir, name), "integration/doctor/caddy", "github.com/caddyserver/caddy/v2/cmd/caddy")
		return []kind{{name: name, binary: binary, speaks: http1To3, files: []string{"Caddyfile"}, arguments: func(at *place) []string {
			return []string{"run", "--config", at.config, "--adapter", "caddyfile"}
		}}}, err
	case "traefik":
		return o.traefikKinds(ctx)
	default:
		return nil, errors.New("there is no such proxy here")
	}
}

// traefikKinds are Traefik without a plugin, with one that does nothing, and with this one. So the second shows what the
// interpreter takes.
func (o *options) traefikKinds(ctx context.Context) ([]kind, error) {
	const module = "integration"
	root, err := repository(ctx)
	if err != nil {
		return nil, err
	}
	// Where the tests keep it, too: it takes a minute to link.
	binary, err := o.binary(ctx, o.traefik, filepath.Join(root, module, "build", "traefik"), module, "github.com/traefik/traefik/v3/cmd/traefik")
	if err != nil {
		return nil, err
	}
	bare := kind{name: "traefik", binary: binary, speaks: http1And2, files: []string{"traefik.yml", "traefik-dynamic.yml"}, arguments: func(at *place) []string {
		return []string{"--configFile=" + at.config}
	}}
	bare.dir = filepath.Join(root, module) // where plugins-local leads to the plugins
	empty, plugin := bare, bare
	empty.name, empty.middleware = "traefik-empty", "empty"
	plugin.name, plugin.middleware = "traefik-plugin", "immich-key"
	return []kind{bare, empty, plugin}, nil
}

// ourKinds are the standalone proxy, or several builds of it, to be compared with each other.
func (o *options) ourKinds(ctx context.Context, s *site) ([]kind, error) {
	if o.ours == "" {
		binary, err := o.binary(ctx, "", filepath.Join(s.dir, "immichaccess"), ".", "./cmd/standalone")
		return []kind{ours("ours", binary)}, err
	}
	var kinds []kind
	for text := range strings.SplitSeq(o.ours, ",") {
		name, binary, _ := strings.Cut(text, "=")
		kinds = append(kinds, ours(name, binary))
	}
	return kinds, nil
}

func ours(name, binary string, more ...string) kind {
	return kind{name: name, binary: binary, speaks: http1To3, files: []string{"immichaccess.yml"}, arguments: func(at *place) []string {
		return append([]string{"--configFile=" + at.config}, more...)
	}}
}

// binary compiles a program of this repository, or of the module of one of its directories, unless one is given.
func (o *options) binary(ctx context.Context, given, program, module, target string) (string, error) {
	if given != "" {
		return given, nil
	}
	root, err := repository(ctx)
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "go", "build", "-o", program, target)
	command.Dir = filepath.Join(root, module)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return program, nil
}

// repository is the directory above this module's.
func repository(ctx context.Context) (string, error) {
	module, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "-m").Output()
	return filepath.Dir(strings.TrimSpace(string(module))), err
}
