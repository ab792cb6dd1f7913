package loginpage

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/sys/unix"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// TestQRCode decodes the QR code of a key's link with another program, as it is printed on a terminal and into a file.
func TestQRCode(t *testing.T) {
	t.Parallel()
	binary := harness.Binary(t)
	for name, c := range map[string]struct {
		run       func(*testing.T, *exec.Cmd) string
		environ   []string
		isColored bool
	}{
		"terminal":                 {onTerminal, []string{"TERM=xterm-256color"}, true},
		"terminal without colours": {onTerminal, []string{"TERM=xterm-256color", "NO_COLOR=1"}, false},
		"dumb terminal":            {onTerminal, []string{"TERM=dumb"}, false},
		"file":                     {intoFile, []string{"TERM=xterm-256color"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, domain := range []string{"photos.example.com", "a.example:8443", strings.Repeat("long-name.", 20) + "example.com"} {
				command := exec.CommandContext(t.Context(), binary, "key", "mother", "--domain="+domain)
				command.Env = c.environ
				out := c.run(t, command)
				if strings.Contains(out, "\x1b") != c.isColored {
					t.Errorf("the output is\n%q", out)
				}
				if link := linkIn(t, out); decode(t, out) != link {
					t.Errorf("the code contains %q, and not %s", decode(t, out), link)
				}
			}
		})
	}
}

func intoFile(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// onTerminal runs the command on a pseudoterminal.
func onTerminal(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	side, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout = side
	err = command.Start()
	_ = side.Close()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, _ = io.Copy(&out, terminal) // ends with an error when the command has ended
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

// makeKey returns the output of the command that makes a key.
func makeKey(t *testing.T, domain string) string {
	t.Helper()
	return intoFile(t, exec.CommandContext(context.Background(), harness.Binary(t), "key", "mother", "--domain="+domain))
}

func linkIn(t *testing.T, out string) string {
	t.Helper()
	link := regexp.MustCompile(`(?m)^    (https://\S+#\S+)$`).FindStringSubmatch(out)
	if link == nil {
		t.Fatalf("there is no link in\n%s", out)
	}
	return link[1]
}

var (
	codeLine = regexp.MustCompile(`(?m)^(\x1b\[[0-9;]*m)?([ ▀▄█]{20,})(\x1b\[0m)?$`)

	// ink is whether the upper and the lower half of a character are drawn.
	ink = map[rune][2]bool{' ': {false, false}, '▀': {true, false}, '▄': {false, true}, '█': {true, true}}
)

// decode draws the QR code in the output of the command, with colours as on a terminal, and reads it.
func decode(t *testing.T, out string) string {
	t.Helper()
	const scale = 4
	lines := codeLine.FindAllStringSubmatch(out, -1)
	if lines == nil {
		t.Fatalf("there is no QR code in\n%s", out)
	}
	foreground, background := color.Gray{0xff}, color.Gray{0} // of a dark terminal
	if lines[0][1] == "\x1b[38;5;16;48;5;231m" {
		foreground, background = background, foreground
	}
	width := len([]rune(lines[0][2]))
	picture := image.NewGray(image.Rect(0, 0, width*scale, len(lines)*2*scale))
	for row, line := range lines {
		for column, character := range []rune(line[2]) {
			for half, isDrawn := range ink[character] {
				shade := background
				if isDrawn {
					shade = foreground
				}
				for i := range scale * scale {
					picture.SetGray(column*scale+i%scale, (2*row+half)*scale+i/scale, shade)
				}
			}
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	// Without the hint, the reader takes some codes for crooked photographs.
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, hints)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return result.GetText()
}
