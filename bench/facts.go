package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// fact is something about the standalone proxy that is not compared with others.
type fact struct {
	Of   string `json:"of"`
	Unit string `json:"unit"`
	spread
}

const (
	uploadsAtOnce = 100
	uploadSize    = 4e6
	idleSockets   = 5000
	starts        = 10
)

// part is something that is measured of the standalone proxy alone.
type part struct {
	name string
	run  func(ctx context.Context, o *options, s *site, binary string, r *results) error
}

func parts() []part {
	var all []part
	for _, d := range dimensions {
		all = append(all, part{d.of, func(ctx context.Context, o *options, s *site, binary string, r *results) error {
			return r.measureGrowth(ctx, o, s, binary, d)
		}})
	}
	return append(all, part{"memory of uploads", uploadMemory}, part{"memory of WebSockets", socketMemory},
		part{"start", startTime}, part{"100 ms away", across})
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// measureOurs measures the parts that were asked for.
func (o *options) measureOurs(ctx context.Context, s *site, r *results) error {
	if o.parts == "" {
		return nil
	}
	kinds, err := o.ourKinds(ctx, s)
	if err != nil {
		return err
	}
	wanted := "," + o.parts + ","
	for _, p := range parts() {
		if !strings.Contains(wanted, ","+p.name+",") {
			continue
		}
		if err := p.run(ctx, o, s, kinds[0].binary, r); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (r *results) fact(of, unit string) *fact {
	f := &fact{Of: of, Unit: unit}
	r.Facts = append(r.Facts, f)
	return f
}

// memory is what /proc/PID/status says, in bytes.
func (p *peer) memory(label string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), label)
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, fmt.Errorf("the kernel does not tell %s", label)
	}
	kilobytes, err := strconv.ParseFloat(fields[0], 64)
	return kilobytes * 1024, err
}

// uploadMemory compares the peak during uploads with what the proxy takes after its first requests.
func uploadMemory(ctx context.Context, o *options, s *site, binary string, r *results) error {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2", "HTTP/3"} {
		f := r.fact(fmt.Sprintf("memory of %d uploads at once, %s", uploadsAtOnce, protocol), "MB over idle")
		for range o.rounds {
			over, err := peakOfUploads(ctx, s, binary, protocol)
			if err != nil {
				return err
			}
			f.add(over / 1e6)
		}
	}
	return nil
}

func peakOfUploads(ctx context.Context, s *site, binary, protocol string) (float64, error) {
	p, err := ours("ours", binary).start(ctx, s)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	c := newClient(s, p.address)
	defer c.close()
	over := map[string]http.RoundTripper{"HTTP/1.1": c.http1, "HTTP/2": c.http2, "HTTP/3": c.http3}[protocol]
	if _, err := c.uploadOf(ctx, over, uploadSize); err != nil {
		return 0, err
	}
	idle, err := p.memory("VmRSS:")
	if err != nil {
		return 0, err
	}
	if err := inParallel(uploadsAtOnce, func(int) error {
		_, err := c.uploadOf(ctx, over, uploadSize)
		return err
	}); err != nil {
		return 0, err
	}
	peak, err := p.memory("VmHWM:")
	return peak - idle, err
}

// socketMemory is what an idle WebSocket takes.
func socketMemory(ctx context.Context, _ *options, s *site, binary string, r *results) error {
	limits, _ := manyConnections(s, 0)
	p, err := ours("ours", binary, limits...).start(ctx, s)
	if err != nil {
		return err
	}
	defer p.stop()
	c := newClient(s, p.address)
	defer c.close()
	before, err := p.memory("VmRSS:")
	if err != nil {
		return err
	}
	conns := make([]net.Conn, 0, idleSockets)
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {rand.Text()}}
	for range idleSockets {
		conn, err := c.openConnection(ctx, socketPath, http.StatusSwitchingProtocols, upgrade)
		if err != nil {
			return fmt.Errorf("%w, after %d", err, len(conns))
		}
		conns = append(conns, conn)
	}
	after, err := p.memory("VmRSS:")
	r.fact(fmt.Sprintf("memory of an idle WebSocket, of %d", idleSockets), "KB").add((after - before) / 1e3 / idleSockets)
	return err
}

// startTime is from the start of the program to its first answer, over a new connection, with a certificate of its own.
func startTime(ctx context.Context, _ *options, s *site, binary string, r *results) error {
	f := r.fact("start to the first answer", "ms")
	for range starts {
		p, err := ours("ours", binary).start(ctx, s)
		if err != nil {
			return err
		}
		f.add(float64(p.answered.Sub(p.began).Microseconds()) / 1e3)
		p.stop()
	}
	return nil
}

// across runs the benchmarks of integration/standalone: what a round trip of 100 ms makes of an upload, and how soon Immich gets the
// first byte of one.
func across(ctx context.Context, _ *options, _ *site, _ string, r *results) error {
	root, err := repository(ctx)
	if err != nil {
		return err
	}
	for _, b := range []struct{ pattern, times string }{{"Across", "3x"}, {"FirstByte", "100x"}} {
		command := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", b.pattern, "-benchtime", b.times, "./standalone")
		command.Dir = filepath.Join(root, "integration")
		output, err := command.Output()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		r.addBenchmarks(string(output))
	}
	return nil
}

// benchmarks are the metrics of integration/standalone that are facts.
var benchmarks = map[string]string{
	"MB/s":             "one upload across 100 ms",
	"ms-to-first-byte": "first byte of an upload at Immich",
}

// addBenchmarks reads what go test prints: a name, which ends with the protocol, how often it ran, and values with their units.
func (r *results) addBenchmarks(output string) {
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		_, version, found := strings.Cut(fields[0], "/HTTP/")
		if !found {
			continue
		}
		version, _, _ = strings.Cut(version, "-") // before the number of processors
		version = strings.TrimSuffix(version, ".0")
		for i := 2; i+1 < len(fields); i += 2 {
			unit, _, _ := strings.Cut(fields[i+1], "-")
			value, err := strconv.ParseFloat(fields[i], 64)
			if of := benchmarks[fields[i+1]]; of != "" && err == nil {
				r.fact(of+", HTTP/"+version, unit).add(value)
			}
		}
	}
}
