package main

import (
	"fmt"
	"html"
	"strings"
)

// Lengths in the plot, in pixels.
const (
	panelWidth  = 430
	panelHead   = 34
	barHeight   = 15
	barStep     = 21
	labelWidth  = 118
	valueWidth  = 58
	plotMargin  = 16
	plotColumns = 2
	textOffset  = 12
)

// titles of the loads, and peers' names, in plot and tables.
var titles = map[string]string{
	"h1 requests": "HTTP/1.1 requests", "h2 requests": "HTTP/2 requests", "h3 requests": "HTTP/3 requests",
	"h1 up": "HTTP/1.1 upload", "h1 down": "HTTP/1.1 download", "h2 up": "HTTP/2 upload", "h2 down": "HTTP/2 download",
	"h3 up": "HTTP/3 upload", "h3 down": "HTTP/3 download",
	"floor": "floor (TLS only)", "ours": "standalone proxy", "haproxy": "HAProxy", "nginx": "nginx, Immich's", "nginx-tuned": "nginx, tuned",
	"caddy": "Caddy", "traefik": "Traefik, no key", "traefik-empty": "Traefik, empty plugin", "traefik-plugin": "Traefik, plugin",
	"connections": "new connections", perConnection: "µs a connection", perRequest: "µs a request", perGigabyte: "s/GB",
}

func title(name string) string {
	if known, ok := titles[name]; ok {
		return known
	}
	return name
}

// plot draws a panel for each load, with a bar for each proxy: its median, and a line from the lowest to the highest.
func (r *results) plot() string {
	var panels strings.Builder
	left, top, rowHeight := 0, 0, 0
	column := 0
	for _, l := range loads {
		figures := r.figuresOf(l.name)
		if len(figures) == 0 {
			continue
		}
		fmt.Fprintf(&panels, "<g transform=\"translate(%d %d)\">\n%s</g>\n", plotMargin+left, plotMargin+top, panel(l, figures))
		rowHeight = max(rowHeight, panelHead+len(figures)*barStep+plotMargin)
		if column++; column == plotColumns {
			column, left, top, rowHeight = 0, 0, top+rowHeight, 0
			continue
		}
		left += panelWidth + plotMargin
	}
	width, height := plotColumns*(panelWidth+plotMargin)+plotMargin, top+rowHeight+plotMargin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<title>Processor time of reverse proxies, the less the better</title>
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`, width, height, panels.String())
}

func panel(l load, figures []*figure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<text y=\"%d\" font-weight=\"bold\">%s, %s</text>\n", textOffset, html.EscapeString(title(l.name)), title(l.unit))
	most := 0.0
	for _, f := range figures {
		most = max(most, f.High)
	}
	scale := func(value float64) float64 { return value / most * (panelWidth - labelWidth - valueWidth) }
	for i, f := range figures {
		y, color := panelHead-plotMargin+i*barStep, "#9aa7b4"
		if f.Peer == "ours" {
			color = "#2f6fde"
		}
		middle := float64(y) + barHeight/2.0
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", labelWidth-6, y+textOffset, html.EscapeString(title(f.Peer)))
		fmt.Fprintf(&b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", labelWidth, y, scale(f.Median), barHeight, color)
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"black\"/>", labelWidth+scale(f.Low), middle, labelWidth+scale(f.High))
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", labelWidth+scale(f.High)+6, y+textOffset, number(f.Median, l.unit))
	}
	return b.String()
}

func (r *results) figuresOf(load string) []*figure {
	var found []*figure
	for _, f := range r.Figures {
		if f.Load == load {
			found = append(found, f)
		}
	}
	return found
}

// number has as many digits as make sense.
func number(value float64, unit string) string {
	if unit == perGigabyte {
		return fmt.Sprintf("%.2f", value)
	}
	return fmt.Sprintf("%.0f", value)
}
