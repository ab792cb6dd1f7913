package torture

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/immichaccess/immichaccess/integration/torture/testbed"
)

// results are those of this run, for the report.
var results collection

type collection struct {
	mu   sync.Mutex
	list []*result
}

// result is that of one scenario.
type result struct {
	scenario      *scenario
	rounds        int
	finished      bool
	good          bool
	duration      time.Duration
	start         time.Time
	before, after testbed.Footprint

	mu      sync.Mutex
	failing bool                                 // outcomes before and afterwards are not counted
	slowest time.Duration                        // until a client had the error
	counts  map[string]map[string]map[string]int // by protocol, kind and outcome
}

func (c *collection) begin(d *scenario) *result {
	r := &result{scenario: d, start: time.Now(), counts: map[string]map[string]map[string]int{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, r)
	return r
}

func (r *result) end(good bool) {
	r.finished, r.good, r.duration = true, good, time.Since(r.start)
}

func (r *result) count(protocol, kind, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failing {
		return
	}
	if r.counts[protocol] == nil {
		r.counts[protocol] = map[string]map[string]int{}
	}
	if r.counts[protocol][kind] == nil {
		r.counts[protocol][kind] = map[string]int{}
	}
	r.counts[protocol][kind][outcome]++
}

func (r *result) setFailing(failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing = failing
}

func (r *result) recordDelay(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slowest = max(r.slowest, d)
}

func (r *result) footprints(before, after testbed.Footprint) {
	r.before, r.after = before, after
}

// outcomeOf describes what a client saw of a transfer that did not succeed.
func outcomeOf(o testbed.Outcome) string {
	switch {
	case o.Err != nil && o.Status == 0:
		return "connection error"
	case o.Err != nil:
		return "cut, with an error"
	default:
		return fmt.Sprintf("status %d", o.Status)
	}
}

// write writes the report, which says so if not every scenario was run.
func (c *collection) write(file string, good bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.list, func(a, b *result) int { return cmp.Compare(a.scenario.number, b.scenario.number) })
	var out strings.Builder
	c.writeHead(&out, good)
	for _, r := range c.list {
		r.write(&out)
	}
	out.WriteString(notCovered)
	return os.WriteFile(file, []byte(out.String()), 0o644)
}

func (c *collection) writeHead(out *strings.Builder, good bool) {
	fmt.Fprint(out, "# What was tested\n\nWritten by `make torture`, from its own output; not to be edited.\n\n")
	verdict := "Everything passed."
	if !good {
		verdict = "**Something failed, or not everything was run.** See below."
	}
	kernel, _ := exec.CommandContext(context.Background(), "uname", "-sr").Output()
	fmt.Fprintf(out, "%s\n\n| | |\n|---|---|\n| date | %s |\n| Go | %s, %s/%s |\n| system | %s, %d processors |\n| scenarios | %d of %d |\n| again | `make torture`, as root on Linux |\n\n",
		verdict, time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		strings.TrimSpace(string(kernel)), runtime.NumCPU(), len(c.list), len(allScenarios()))
	fmt.Fprint(out, intro)
}

const intro = `## Failures

The standalone proxy, or the real Traefik with the plugin where it says so, runs as a program, and so does a fake Immich. On each
of HTTP/1.1, HTTP/2 and HTTP/3 two uploads and two downloads run, of known and of unknown length, and over HTTP/1.1 a WebSocket.
Then the failure happens. In every scenario:

- An upload that the client takes for stored was stored by Immich, which recorded it before the answer, with the checksum of what was sent.
- A download that the client takes for complete has the right checksum.
- Afterwards all transfers are complete, on each protocol, without intervention (except that a proxy that has ended is started again).
- Descriptors, goroutines, threads, memory and connections to Immich are back at their earlier level, unless the proxy has ended.
- There is no panic in the log.

`

func (r *result) write(out *strings.Builder) {
	verdict := "passed"
	if !r.good {
		verdict = "**FAILED**"
	}
	fmt.Fprintf(out, "### %s: %s\n\n%s. %d times, in %s.", capitalize(r.scenario.title()), verdict, capitalize(r.scenario.expect), r.rounds, r.duration.Round(time.Second))
	if r.slowest > 0 {
		fmt.Fprintf(out, " The last client was told after %s.", r.slowest.Round(10*time.Millisecond))
	}
	fmt.Fprint(out, "\n\n| protocol | what | result |\n|---|---|---|\n")
	for _, protocol := range slices.Sorted(maps.Keys(r.counts)) {
		for _, kind := range slices.Sorted(maps.Keys(r.counts[protocol])) {
			outcomes := r.counts[protocol][kind]
			var parts []string
			for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
				parts = append(parts, fmt.Sprintf("%d × %s", outcomes[outcome], outcome))
			}
			fmt.Fprintf(out, "| %s | %s | %s |\n", protocol, kind, strings.Join(parts, ", "))
		}
	}
	if r.after.Threads > 0 {
		fmt.Fprintf(out, "\nBefore: %s. Afterwards: %s.\n", r.before, r.after)
	}
	fmt.Fprintln(out)
}

func (d *scenario) title() string {
	if d.inTraefik {
		return "behind Traefik, " + d.name
	}
	return d.name
}

func capitalize(text string) string {
	return strings.ToUpper(text[:1]) + text[1:]
}

const notCovered = `## What this does not cover

- The clock of the machine is never set. In the scenarios of the clock, the proxy is built with a time.Now that can be shifted while it runs;
  the monotonic clock, on which timers and deadlines run, is not affected, as when an administrator or NTP sets a clock. SIGSTOP and SIGCONT
  simulate that a machine is suspended. What a jump does to another program, such as the CA, is not covered.
- Delay and loss come from a program between two TUN devices, not from netem, which not every kernel has. Packets are delayed evenly and
  lost at random; they are not reordered, doubled or damaged.
- In the scenarios of the CA and of the storage, the proxy is built to check its certificates every second and to try again after two,
  instead of ten minutes and one to twenty; nothing else is changed.
- Immich is a fake Immich with Immich's behaviour on the wire, not Immich. Failures of its disk and its database are not covered.
- A machine that loses its power, a kernel that runs out of memory, and disks that lie are not covered.
- Go keeps threads, and returns memory late: what is tolerated is ` + "`moreThreads`, `moreMemory`, `moreDescriptors`" + `
  and ` + "`moreGoroutines` in [scenario_test.go](../integration/torture/scenario_test.go)" + `. Traefik does not report its goroutines.
`
