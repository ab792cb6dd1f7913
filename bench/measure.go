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
}

// figure is what one proxy costs under one load.
type figure struct {
	Load   string    `json:"load"`
	Unit   string    `json:"unit"`
	Peer   string    `json:"peer"`
	Values []float64 `json:"values"` // one per round
	Median float64   `json:"median"`
	Low    float64   `json:"low"`
	High   float64   `json:"high"`
	Speed  float64   `json:"speed"` // median of units per second: requests, or gigabytes
	speeds []float64
}

func measure(ctx context.Context, o *options, s *site, peers []*peer) (*results, error) {
	r := &results{When: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Rounds: o.rounds, Requests: o.requests, Transfer: o.transfer, Answer: o.answer}
	for _, l := range loads {
		if !slices.Contains(strings.Split(o.loads, ","), l.name) {
			continue
		}
		if err := r.measureLoad(ctx, o, s, peers, l); err != nil {
			return r, err
		}
	}
	return r, nil
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
				return fmt.Errorf("%s, %s: %w\n%s", p.name, l.name, err, p.log)
			}
			if round > 0 {
				figures[p].Values = append(figures[p].Values, cost)
				figures[p].speeds = append(figures[p].speeds, speed)
			}
		}
	}
	for _, f := range figures {
		f.Median, f.Low, f.High = median(f.Values), slices.Min(f.Values), slices.Max(f.Values)
		f.Speed = median(f.speeds)
	}
	return nil
}

// turn returns microseconds per request, or seconds per gigabyte.
func turn(ctx context.Context, o *options, s *site, p *peer, l load) (cost, speed float64, err error) {
	c := newClient(s, p.address)
	defer c.close()
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
	if l.unit == perRequest {
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
}
