// Command immichaccess is an access-key gateway for Immich that terminates TLS itself, for users without Traefik.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/app"
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
	os.Exit(mainImpl(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// console is a command's arguments, environment and output.
type console struct {
	args    []string
	environ []string
	in      io.Reader
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
	"init":        initialize,
	"version":     version,
	"help":        showHelp,
}

func mainImpl(args, environ []string, in io.Reader, out, errOut io.Writer) int {
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
	return exitCode(command(&console{args, environ, in, out, errOut}), errOut)
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
	if err := loaded.Show(c.out); err != nil {
		return err
	}
	if err := warn(&loaded.Access); err != nil {
		return usageError{err}
	}
	return c.printVerdict(loaded)
}

// warn has the gateway log what it warns of at startup, such as keys that are too short.
func warn(access *immichaccess.Config) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := immichaccess.New(ctx, http.NotFoundHandler(), access, "")
	return err
}

// printVerdict summarizes a valid configuration. Immich may be down.
func (c *console) printVerdict(loaded *config.Loaded) error {
	s, err := app.Summarize(&loaded.Settings)
	if err != nil {
		return usageError{err}
	}
	c.print("\nThe configuration is valid.\n")
	c.print("reachable at: %s\n", strings.Join(s.URLs, ", "))
	for i, err := range app.PingUpstreams(context.Background(), loaded.Upstreams) {
		if err != nil {
			c.print("Immich at %s does not answer: %v\n", loaded.Upstreams[i], err)
		} else {
			c.print("Immich at %s answers\n", loaded.Upstreams[i])
		}
	}
	c.print("keys in force: %s\n", s.KeysText())
	if len(s.ExpiredKeys) > 0 {
		c.print("expired keys: %s\n", s.ExpiredText())
	}
	if loaded.Access.ClientCertificates {
		c.print("client certificates count as keys\n")
	}
	c.print("open without a key: %s\n", s.OpenText())
	return nil
}

func version(c *console) error {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this binary contains no version")
	}
	c.print("immichaccess %s (%s)\n", build.Main.Version, build.GoVersion)
	return nil
}
