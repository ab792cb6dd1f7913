package main

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The size of a terminal's parts, in pixels.
const (
	characterWidth = 8.4
	lineHeight     = 19
	fontSize       = 14
	margin         = 16
)

// styles are the CSS classes of the escape sequences that set colours.
var styles = map[string]string{"1": "bold", "2": "faint", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}

const styleSheet = `text{font-family:"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:%dpx;fill:#d6d9de}` +
	`.bold{font-weight:bold;fill:#fff}.faint{fill:#8d95a1}.red{fill:#ff7b72}.green{fill:#7ee787}.yellow{fill:#e3b341}.cyan{fill:#56d4dd}`

var escape = regexp.MustCompile(`\x1b\[([0-9;]*)m`)

// drawTerminal draws text with escape sequences for colours as an SVG picture. Each piece of text has a fixed width, so that columns
// are aligned in any font.
func drawTerminal(title, text string, columns int) []byte {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	width, height := int(characterWidth*float64(columns))+2*margin, lineHeight*len(lines)+2*margin
	var svg strings.Builder
	fmt.Fprintf(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %[1]d %[2]d\" role=\"img\">\n", width, height)
	fmt.Fprintf(&svg, "<title>%s</title>\n<style>"+styleSheet+"</style>\n", html.EscapeString(title), fontSize)
	fmt.Fprintf(&svg, "<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#171b22\"/>\n", width, height)
	for i, line := range lines {
		drawLine(&svg, line, margin+lineHeight*i+fontSize)
	}
	svg.WriteString("</svg>\n")
	return []byte(svg.String())
}

// drawLine expects that styles end with their line.
func drawLine(svg *strings.Builder, line string, y int) {
	column, begin, classes := 0, 0, ""
	for _, at := range append(escape.FindAllStringSubmatchIndex(line, -1), []int{len(line), len(line), len(line), len(line)}) {
		piece := line[begin:at[0]]
		drawPiece(svg, piece, classes, column, y)
		column += utf8.RuneCountInString(piece)
		begin = at[1]
		if class, known := styles[line[at[2]:at[3]]]; known {
			classes = strings.TrimSpace(classes + " " + class)
		} else {
			classes = ""
		}
	}
}

// words are texts without several blanks in a row, which programs collapse.
var words = regexp.MustCompile(`\S+(?: \S+)*`)

func drawPiece(svg *strings.Builder, piece, classes string, column, y int) {
	if classes != "" {
		classes = fmt.Sprintf(" class=%q", classes)
	}
	for _, at := range words.FindAllStringIndex(piece, -1) {
		shown := piece[at[0]:at[1]]
		x := margin + characterWidth*float64(column+utf8.RuneCountInString(piece[:at[0]]))
		fmt.Fprintf(svg, "<text x=\"%.1f\" y=\"%d\" textLength=\"%.1f\" lengthAdjust=\"spacingAndGlyphs\"%s>%s</text>\n",
			x, y, characterWidth*float64(utf8.RuneCountInString(shown)), classes, html.EscapeString(shown))
	}
}
