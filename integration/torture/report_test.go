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

	"github.com/immichaccess/immichaccess/integration/torture/harness"
)

// results are those of this run, for the report.
var results collection

type collection struct {
	mu   sync.Mutex
	list []*result
}

// result is what came of one bad day.
type result struct {
	day           *badDay
	rounds        int
	finished      bool
	good          bool
	duration      time.Duration
	start         time.Time
	before, after harness.Footprint

	mu       sync.Mutex
	striking bool                                 // what happens before and afterwards is not counted
	slowest  time.Duration                        // until a client heard of it
	counts   map[string]map[string]map[string]int // by protocol, kind and outcome
}

func (c *collection) begin(d *badDay) *result {
	r := &result{day: d, start: time.Now(), counts: map[string]map[string]map[string]int{}}
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
	if !r.striking {
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

func (r *result) strike(striking bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.striking = striking
}

func (r *result) took(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slowest = max(r.slowest, d)
}

func (r *result) footprints(before, after harness.Footprint) {
	r.before, r.after = before, after
}

// outcomeOf is what a client saw of something that did not succeed, in a word.
func outcomeOf(o harness.Outcome) string {
	switch {
	case o.Err != nil && o.Status == 0:
		return "connection error"
	case o.Err != nil:
		return "cut, with an error"
	default:
		return fmt.Sprintf("status %d", o.Status)
	}
}

// write makes the report of what has run, which says so if that is not all.
func (c *collection) write(file string, good bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.list, func(a, b *result) int { return cmp.Compare(a.day.number, b.day.number) })
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
	verdict := "Everything held."
	if !good {
		verdict = "**Something failed, or not everything was run.** See below."
	}
	kernel, _ := exec.CommandContext(context.Background(), "uname", "-sr").Output()
	fmt.Fprintf(out, "%s\n\n| | |\n|---|---|\n| date | %s |\n| Go | %s, %s/%s |\n| system | %s, %d processors |\n| bad days | %d of %d |\n| again | `make torture`, as root on Linux |\n\n",
		verdict, time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		strings.TrimSpace(string(kernel)), runtime.NumCPU(), len(c.list), len(allDays()))
	fmt.Fprint(out, intro)
}

const intro = `## Bad days

The standalone proxy, or the real Traefik with the plugin where it says so, runs as a program, and so does a fake Immich. On each
of HTTP/1.1, HTTP/2 and HTTP/3 there run two uploads and two downloads, of known and of unknown length, and over HTTP/1.1 a WebSocket.
Then it happens. On every day:

- An upload that the client takes for stored was stored by Immich, which noted so before it answered, with the checksum of what was sent.
- A download that the client takes for whole has the checksum that it should have.
- Afterwards all that is transferred is whole, on each protocol, without that anybody helps (but a proxy that was ended is started again).
- Descriptors, goroutines, threads, memory and connections to Immich are back to where they were, unless the proxy was ended.
- There is no panic in the log.

`

func (r *result) write(out *strings.Builder) {
	verdict := "held"
	if !r.good {
		verdict = "**FAILED**"
	}
	fmt.Fprintf(out, "### %s: %s\n\n%s. %d times, in %s.", capitalize(r.day.title()), verdict, capitalize(r.day.expect), r.rounds, r.duration.Round(time.Second))
	if r.slowest > 0 {
		fmt.Fprintf(out, " The last client heard of it after %s.", r.slowest.Round(10*time.Millisecond))
	}
	fmt.Fprint(out, "\n\n| protocol | what | how it ended |\n|---|---|---|\n")
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

func (d *badDay) title() string {
	if d.inTraefik {
		return "behind Traefik, " + d.name
	}
	return d.name
}

func capitalize(text string) string {
	return strings.ToUpper(text[:1]) + text[1:]
}

const notCovered = `## What this does not cover

- The clock of the machine is never set. On the days of the clock, the proxy is built with a time.Now that can be shifted while it runs;
  the monotonic clock, on which timers and deadlines run, goes on, as it does when an administrator or NTP sets a clock. That a machine is
  suspended is shown by SIGSTOP and SIGCONT. What a jump does to another program, such as the CA, is not covered.
- Delay and loss come from a program between two TUN devices, not from netem, which not every kernel has. Packets are delayed evenly and
  lost at random; they are not reordered, doubled or damaged.
- On the days of the CA and of the storage, the proxy is built to look after its certificates every second and to try again after one or
  two, instead of ten minutes and one to twenty; all else of it is as it is.
- Immich is a fake Immich with Immich's behaviour on the wire, not Immich. Its disk and its database have no bad days of their own.
- A machine that loses its power, a kernel that runs out of memory, and disks that lie are not covered.
- Go keeps threads, and gives memory back when it likes: what counts as back to where it was is ` + "`moreThreads`, `moreMemory`, `moreDescriptors`" + `
  and ` + "`moreGoroutines` in [scene_test.go](../integration/torture/scene_test.go)" + `. Traefik does not tell its goroutines.
`
