package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/immichaccess/immichaccess/internal/accesskey"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/filewrite"
	"github.com/immichaccess/immichaccess/internal/setup"
)

const (
	welcomeText = `This writes a configuration and a first access key to %s. Enter takes the answer in brackets.
Nothing is written before the last answer, and Ctrl+C ends the questions.
`
	existsText = `
There are such files already, so this only shows what it would write. --force replaces them; --directory names another place.
`
	notWrittenText = `
This was not written:
`
)

// initFlags are the options of init.
type initFlags struct {
	set      *flag.FlagSet
	given    map[string]string
	defaults bool
	dir      string
	force    bool
}

// initialize writes a configuration and a first key.
func initialize(c *console) error {
	f, err := parseInit(c.args)
	if err != nil {
		return usageError{fmt.Errorf("init: %w", err)}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	answers, err := f.ask(ctx, c)
	if err != nil {
		return initError(err)
	}
	key, err := accesskey.New(answers.KeyName)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	files, err := answers.Files(f.dir, key.Entry)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := f.write(files); err != nil {
		if errors.Is(err, fs.ErrExist) {
			c.showUnwritten(files)
		}
		return fmt.Errorf("init: %w", err)
	}
	stop() // from here on, Ctrl+C ends the program at once
	return c.finishInit(answers, key, files)
}

func newInitFlags() *initFlags {
	f := &initFlags{set: flag.NewFlagSet("init", flag.ContinueOnError), given: map[string]string{}}
	f.set.SetOutput(io.Discard)
	for _, name := range setup.Flags {
		keep := func(value string) error {
			f.given[name] = value
			return nil
		}
		if name == "browserLogin" {
			f.set.BoolFunc(name, "", keep) // which may stand alone
		} else {
			f.set.Func(name, "", keep)
		}
	}
	f.set.BoolVar(&f.defaults, "yes", false, "")
	f.set.BoolVar(&f.force, "force", false, "")
	f.set.StringVar(&f.dir, "directory", defaultDirectory(), "")
	return f
}

func parseInit(args []string) (*initFlags, error) {
	f := newInitFlags()
	others, err := parseAround(f.set, args)
	if err != nil {
		return nil, err
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("%q is not an option; --help shows what there is", others[0])
	}
	f.dir, err = filepath.Abs(f.dir)
	return f, err
}

func defaultDirectory() string {
	if os.Geteuid() == 0 {
		return config.SystemDirectory
	}
	return "."
}

func (f *initFlags) ask(ctx context.Context, c *console) (*setup.Answers, error) {
	dialog := &setup.Dialog{Given: f.given, Defaults: f.defaults, Out: c.out}
	if isTerminal(c.in) && !f.defaults {
		dialog.Lines = setup.Lines(c.in)
		c.print(welcomeText, f.dir)
		if !f.force && f.exists() {
			c.print(existsText)
		}
	}
	return setup.Ask(ctx, dialog)
}

func (f *initFlags) exists() bool {
	for _, name := range []string{config.FileName, setup.KeysFile} {
		if _, err := os.Lstat(filepath.Join(f.dir, name)); err == nil {
			return true
		}
	}
	return false
}

func initError(err error) error {
	switch {
	case errors.As(err, &setup.UsageError{}):
		return usageError{fmt.Errorf("init: %w", err)}
	case errors.Is(err, setup.ErrEnded):
		return fmt.Errorf("init: %w; nothing was written", err)
	}
	return fmt.Errorf("init: %w", err)
}

func (f *initFlags) write(files []filewrite.File) error {
	if err := makeDirectory(f.dir); err != nil {
		return err
	}
	if f.force {
		return filewrite.Replace(files...)
	}
	err := filewrite.Create(files...)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; nothing was written: --force replaces existing files, and keeps them as NAME.old; --directory names another place", err)
	}
	return err
}

// makeDirectory makes one, whatever the umask is, that the service can read, whose user owns nothing.
func makeDirectory(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // see above
}

// showUnwritten shows no entry of a key that nobody gets to see.
func (c *console) showUnwritten(files []filewrite.File) {
	c.print(notWrittenText)
	for _, file := range files {
		c.print("\n%s:\n\n", file.Path)
		if filepath.Base(file.Path) == setup.KeysFile {
			c.print("    a new entry\n")
			continue
		}
		for line := range strings.Lines(string(file.Content)) {
			c.print("%s", strings.TrimRight("    "+line, " \n")+"\n")
		}
	}
}

// finishInit shows the key and what to do next, and checks what was written as the command check does.
func (c *console) finishInit(answers *setup.Answers, key accesskey.Key, files []filewrite.File) error {
	c.print("\nWritten:\n\n")
	for _, file := range files {
		c.print("    %s\n", file.Path)
	}
	c.print("\n"+secretText+appText, key.Secret, key.Secret)
	if answers.BrowserLogin {
		link, err := c.linkText(key, answers.Host())
		if err != nil {
			return fmt.Errorf("init: %w", err)
		}
		c.print("%s", link)
	} else if answers.Domain != "" {
		c.print(serverText, answers.Domain)
	}
	if missing := answers.MissingVariables(); missing != "" {
		c.print("\nThe configuration is not checked yet: %s\n", missing)
	} else if err := c.checkFile(files[0].Path); err != nil {
		return err
	}
	c.print("\n%s", answers.NextSteps(setup.Place{Dir: filepath.Dir(files[0].Path), Program: program(), Root: os.Geteuid() == 0}))
	return nil
}

func (c *console) checkFile(path string) error {
	loaded, err := config.Load([]string{"--configFile=" + path}, c.environ)
	if err != nil {
		return usageError{err}
	}
	return c.printVerdict(loaded)
}

// program is how a shell finds this program.
func program() string {
	path, err := os.Executable()
	if err != nil {
		return "immichaccess"
	}
	if found, err := exec.LookPath(filepath.Base(path)); err == nil && found == path {
		return filepath.Base(path)
	}
	return path
}
