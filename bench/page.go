package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// What is between these lines of the page is replaced.
const (
	figuresBegin = "<!-- The figures from here on are written by make bench-peers. -->\n"
	figuresEnd   = "<!-- Here the figures end. -->\n"
)

func (r *results) writePage(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), figuresBegin)
	_, after, ends := strings.Cut(rest, figuresEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for figures", file)
	}
	return os.WriteFile(file, []byte(before+figuresBegin+"\n"+r.markdown()+figuresEnd+after), 0o644) //nolint:gosec // no secret
}

// markdown has a table of all proxies, and those of the standalone proxy alone.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s, on %s; %d rounds of %d requests with responses of %d bytes, or of %d MB.\n",
		r.When.Format("2 January 2006"), r.Machine, r.Rounds, r.Requests, r.Answer, r.Transfer)
	b.WriteString("The median, with the lowest and the highest:\n\n")
	r.comparison(&b)
	r.ratios(&b)
	for _, g := range r.Growth {
		fmt.Fprintf(&b, "\n| %s | %s | memory, MB |\n|---|---|---|\n", g.Of, title(g.Unit))
		for _, p := range g.Points {
			fmt.Fprintf(&b, "| %d | %s | %.0f |\n", p.At, p.text(g.Unit), p.Memory)
		}
	}
	if len(r.Facts) > 0 {
		b.WriteString("\n| the standalone proxy | |\n|---|---|\n")
	}
	for _, f := range r.Facts {
		fmt.Fprintf(&b, "| %s | %s %s |\n", f.Of, f.text(perGigabyte), f.Unit)
	}
	b.WriteString("\n")
	return b.String()
}

// comparison has a row for each proxy, and a column for each load.
func (r *results) comparison(b *strings.Builder) {
	var measured []load
	var peers []string
	for _, l := range loads {
		figures := r.figuresOf(l.name)
		if len(figures) > 0 {
			measured = append(measured, l)
		}
		for _, f := range figures {
			if !slices.Contains(peers, f.Peer) {
				peers = append(peers, f.Peer)
			}
		}
	}
	b.WriteString("|")
	for _, l := range measured {
		fmt.Fprintf(b, " | %s, %s", title(l.name), title(l.unit))
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(measured)) + "|\n")
	for _, peer := range peers {
		fmt.Fprintf(b, "| %s", title(peer))
		for _, l := range measured {
			b.WriteString(" | ")
			if f := r.figureOf(l.name, peer); f != nil {
				b.WriteString(f.text(l.unit))
			}
		}
		b.WriteString(" |\n")
	}
}

// ratios are of medians: the standalone proxy's to each other proxy's, and Traefik's with a plugin to that without.
func (r *results) ratios(b *strings.Builder) {
	b.WriteString("\nMedians, as multiples of others':\n\n| | |\n|---|---|\n")
	for _, of := range r.peersBeside("ours") {
		r.ratio(b, "ours", of)
	}
	r.ratio(b, "traefik-empty", "traefik")
	r.ratio(b, "traefik-plugin", "traefik")
}

func (r *results) ratio(b *strings.Builder, peer, of string) {
	var all []string
	for _, l := range loads {
		if one, other := r.figureOf(l.name, peer), r.figureOf(l.name, of); one != nil && other != nil {
			all = append(all, fmt.Sprintf("%s %.2f", title(l.name), one.Median/other.Median))
		}
	}
	if len(all) > 0 {
		fmt.Fprintf(b, "| %s : %s | %s |\n", title(peer), title(of), strings.Join(all, ", "))
	}
}

func (r *results) figureOf(load, peer string) *figure {
	for _, f := range r.figuresOf(load) {
		if f.Peer == peer {
			return f
		}
	}
	return nil
}

// peersBeside are all others but Traefik with a plugin: it is compared with Traefik without.
func (r *results) peersBeside(peer string) []string {
	var others []string
	for _, f := range r.Figures {
		if f.Peer != peer && f.Peer != "traefik-plugin" && f.Peer != "traefik-empty" && !slices.Contains(others, f.Peer) {
			others = append(others, f.Peer)
		}
	}
	return others
}

// text is the median and, if there are several values, the lowest and the highest.
func (s *spread) text(unit string) string {
	if len(s.Values) == 1 {
		return number(s.Median, unit)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median, unit), number(s.Low, unit), number(s.High, unit))
}
