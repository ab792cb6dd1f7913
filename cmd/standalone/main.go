// Command immichaccess is an access-key gateway for Immich with TLS of its own, for users without Traefik.
package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/immichaccess/immichaccess/internal/config"
)

const (
	exitGood   = 0
	exitFailed = 1
	exitUsage  = 2
)

//go:embed help.txt
var help string

func main() {
	os.Exit(mainImpl(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// console is what a command gets from, and writes to, the process that it runs in.
type console struct {
	args    []string
	environ []string
	out     io.Writer
	err     io.Writer
}

var commands = map[string]func(*console) error{
	"run":         run,
	"cert":        makeCertificate,
	"check":       check,
	"key":         makeKey,
	"demo":        runDemo,
	"doctor":      examine,
	"healthcheck": healthcheck,
	"version":     version,
	"help":        showHelp,
}

func mainImpl(args, environ []string, out, errOut io.Writer) int {
	name := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
		name = "help"
	}
	if len(args) > 0 && args[0] == "--version" {
		name = "version"
	}
	command, known := commands[name]
	if !known {
		command = func(*console) error {
			return usageError{fmt.Errorf("there is no command %q; --help lists all commands", name)}
		}
	}
	return exitCode(command(&console{args, environ, out, errOut}), errOut)
}

// usageError is an error that the user corrects by typing something else.
type usageError struct{ error }

func exitCode(err error, errOut io.Writer) int {
	if err == nil {
		return exitGood
	}
	if errors.Is(err, errFindings) {
		return exitFailed
	}
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintln(errOut, "immichaccess:", strings.TrimSpace(line))
	}
	if errors.As(err, &usageError{}) {
		return exitUsage
	}
	return exitFailed
}

func (c *console) load() (*config.Loaded, error) {
	loaded, err := config.Load(c.args, c.environ)
	if err != nil {
		return nil, usageError{err}
	}
	return loaded, nil
}

func (c *console) print(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format, args...)
}

func showHelp(c *console) error {
	c.print("%s", help)
	return nil
}

func check(c *console) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	return loaded.Show(c.out)
}

func version(c *console) error {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this binary contains no version")
	}
	c.print("immichaccess %s (%s)\n", build.Main.Version, build.GoVersion)
	return nil
}
