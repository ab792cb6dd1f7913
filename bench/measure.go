package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are what is written as JSON, too.
type results struct {
	When     time.Time `json:"when"`
	Machine  string    `json:"machine"`
	Rounds   int       `json:"rounds"`
	Requests int       `json:"requestsPerTurn"`
	Transfer int64     `json:"megabytesPerTurn"`
	Answer   int       `json:"bytesPerAnswer"`
	Figures  []*figure `json:"figures"`
	Growth   []*growth `json:"growth"` // of the standalone proxy's cost
	Facts    []*fact   `json:"facts"`  // about the standalone proxy
}

// spread is the outcome of several rounds.
type spread struct {
	Values []float64 `json:"values"` // of each round
	Median float64   `json:"median"`
	Low    float64   `json:"low"`
	High   float64   `json:"high"`
}

func (s *spread) add(value float64) {
	s.Values = append(s.Values, value)
	s.Median, s.Low, s.High = median(s.Values), slices.Min(s.Values), slices.Max(s.Values)
}

// figure is what one proxy costs under one load.
type figure struct {
	Load string `json:"load"`
	Unit string `json:"unit"`
	Peer string `json:"peer"`
	spread
	Speed  float64 `json:"speed"` // median of units a second: requests, or gigabytes
	speeds []float64
}

func newResults(o *options) *results {
	return &results{When: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Rounds: o.rounds, Requests: o.requests, Transfer: o.transfer, Answer: o.answer}
}

// compare measures all loads.
func (r *results) compare(ctx context.Context, o *options, s *site, peers []*peer) error {
	for _, l := range loads {
		if !slices.Contains(strings.Split(o.loads, ","), l.name) {
			continue
		}
		if err := r.measureLoad(ctx, o, s, peers, l); err != nil {
			return err
		}
	}
	return nil
}

// measureLoad gives every proxy a turn in each round. The first round is not counted, so that connections, buffers and the heap
// can grow to their usual size.
func (r *results) measureLoad(ctx context.Context, o *options, s *site, peers []*peer, l load) error {
	figures := map[*peer]*figure{}
	for round := range o.rounds + 1 {
		for _, p := range peers {
			if p.speaks < l.needs {
				continue
			}
			if figures[p] == nil {
				figures[p] = &figure{Load: l.name, Unit: l.unit, Peer: p.name}
				r.Figures = append(r.Figures, figures[p])
			}
			cost, speed, err := turn(ctx, o, s, p, l)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.name, l.name, err)
			}
			if round > 0 {
				figures[p].add(cost)
				figures[p].speeds = append(figures[p].speeds, speed)
			}
		}
	}
	for _, f := range figures {
		f.Speed = median(f.speeds)
	}
	return nil
}

// turn returns microseconds per request or connection, or seconds per gigabyte.
func turn(ctx context.Context, o *options, s *site, p *peer, l load) (cost, speed float64, err error) {
	c := newClient(s, p.address)
	defer c.close()
	if l.connect != nil {
		if err := l.connect(ctx, c); err != nil {
			return 0, 0, err
		}
	}
	before, err := p.processorTime()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	units, err := l.run(ctx, c, o)
	if err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	after, err := p.processorTime()
	if err != nil {
		return 0, 0, err
	}
	cost = (after - before).Seconds() / units
	if l.unit != perGigabyte {
		cost *= 1e6
	}
	return cost, units / took.Seconds(), nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// print shows a table for each load, with the cost as a multiple of the first proxy's.
func (r *results) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	base := 0.0
	load := ""
	for _, f := range r.Figures {
		if f.Load != load {
			load, base = f.Load, f.Median
			fmt.Fprintf(table, "\n%s\t%s\tlow\thigh\tratio\tspeed/s\t\n", f.Load, f.Unit)
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.3g\t\n", f.Peer, f.Median, f.Low, f.High, f.Median/base, f.Speed)
	}
	for _, g := range r.Growth {
		fmt.Fprintf(table, "\n%s\t%s\tlow\thigh\tMB of memory\t\n", g.Of, g.Unit)
		for _, p := range g.Points {
			fmt.Fprintf(table, "%d\t%.2f\t%.2f\t%.2f\t%.0f\t\n", p.At, p.Median, p.Low, p.High, p.Memory)
		}
	}
	if len(r.Facts) > 0 {
		fmt.Fprint(table, "\n\tmedian\tlow\thigh\t\n")
	}
	for _, f := range r.Facts {
		fmt.Fprintf(table, "%s, %s\t%.2f\t%.2f\t%.2f\t\n", f.Of, f.Unit, f.Median, f.Low, f.High)
	}
}
