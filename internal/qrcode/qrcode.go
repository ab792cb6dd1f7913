// Package qrcode draws QR codes as text, for terminals.
package qrcode

import (
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quietZone is the margin that scanners need (ISO/IEC 18004), in modules.
const quietZone = 4

// Two modules, one above the other, make one character. The key is whether the upper and the lower one are drawn.
var halfBlocks = map[[2]bool]rune{
	{false, false}: ' ', {true, false}: '▀', {false, true}: '▄', {true, true}: '█',
}

const (
	blackOnWhite = "\x1b[38;5;16;48;5;231m" // colours that no theme changes
	reset        = "\x1b[0m"
)

// Colored draws the code black on white, whatever the colours of the terminal are.
func Colored(content string) (string, error) {
	c, err := encode(content)
	if err != nil {
		return "", err
	}
	lines := c.lines(c.isDark)
	return blackOnWhite + strings.Join(lines, reset+"\n"+blackOnWhite) + reset + "\n", nil
}

// Plain draws the code without colours. It draws the light modules, for terminals with a dark background. On a light background
// the code is inverted, which phones can scan as well.
func Plain(content string) (string, error) {
	c, err := encode(content)
	if err != nil {
		return "", err
	}
	return strings.Join(c.lines(c.isLight), "\n") + "\n", nil
}

// code is a square of modules.
type code struct {
	at   func(x, y int) color.Color
	size int
}

func encode(content string) (code, error) {
	encoded, err := qr.Encode(content, qr.M, qr.Auto)
	if err != nil {
		return code{}, err
	}
	return code{at: encoded.At, size: encoded.Bounds().Dx()}, nil
}

func (c code) isDark(x, y int) bool {
	return x >= 0 && y >= 0 && x < c.size && y < c.size && c.at(x, y) == color.Black
}

func (c code) isLight(x, y int) bool {
	return !c.isDark(x, y)
}

func (c code) lines(isDrawn func(x, y int) bool) []string {
	var lines []string
	for y := -quietZone; y < c.size+quietZone; y += 2 {
		var line strings.Builder
		for x := -quietZone; x < c.size+quietZone; x++ {
			line.WriteRune(halfBlocks[[2]bool{isDrawn(x, y), isDrawn(x, y+1)}])
		}
		lines = append(lines, line.String())
	}
	return lines
}
