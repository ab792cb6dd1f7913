package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/immichaccess/immichaccess/internal/doctor"
)

const (
	usualWidth  = 80
	keyVariable = "IMMICHACCESS_DOCTOR_KEY"
)

// errFindings makes the command fail without a message of its own, since the report has it all.
var errFindings = errors.New("")

// examine tests a deployment from outside.
func examine(c *console) error {
	asked, err := parseDoctor(c)
	if err != nil {
		return usageError{fmt.Errorf("doctor: %w", err)}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := asked.openLog(ctx); err != nil {
		return usageError{fmt.Errorf("doctor: %w", err)}
	}
	progress := newProgress(c.err, c.environ)
	asked.options.Progress = progress.show

	report, err := doctor.Run(ctx, asked.options)
	progress.clear()
	if err != nil {
		return usageError{fmt.Errorf("doctor: %w", err)}
	}
	if err := asked.print(report, c); err != nil {
		return err
	}
	if report.Broken() {
		return errFindings
	}
	return nil
}

// doctorFlags are the arguments of the command.
type doctorFlags struct {
	options doctor.Options
	keyFile string
	caFile  string
	logFile string
	asJSON  bool
}

func parseDoctor(c *console) (*doctorFlags, error) {
	f := &doctorFlags{}
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&f.options.Key, "key", "", "")
	flags.StringVar(&f.keyFile, "keyFile", "", "")
	flags.StringVar(&f.options.KeyHeader, "keyHeader", doctor.DefaultKeyHeader, "")
	flags.StringVar(&f.options.Link, "link", "", "")
	flags.StringVar(&f.options.HTTPURL, "httpURL", "", "")
	flags.StringVar(&f.logFile, "immichLog", "", "")
	flags.StringVar(&f.caFile, "ca", "", "")
	flags.BoolVar(&f.options.Insecure, "insecure", false, "")
	flags.BoolVar(&f.options.Slow, "slow", false, "")
	flags.BoolVar(&f.asJSON, "json", false, "")
	urls, err := parseAround(flags, c.args)
	if err != nil {
		return nil, err
	}
	if len(urls) != 1 {
		return nil, errors.New("give the address of your Immich: immichaccess doctor https://photos.example.com")
	}
	f.options.URL = urls[0]
	return f, errors.Join(f.readKey(c.environ), f.readCA())
}

// parseAround takes flags before and after the address.
func parseAround(flags *flag.FlagSet, args []string) (others []string, err error) {
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			if strings.HasPrefix(err.Error(), "bad flag syntax") {
				return nil, errors.New("an option is like --name or --name=VALUE") // the error has the whole argument, perhaps with the key
			}
			return nil, fmt.Errorf("%w; --help shows what there is", err)
		}
		if args = flags.Args(); len(args) > 0 {
			others, args = append(others, args[0]), args[1:]
		}
	}
	return others, nil
}

// readKey takes the key from a file, or the environment, where other users of this machine do not see it.
func (f *doctorFlags) readKey(environ []string) error {
	if f.options.Key != "" && f.keyFile != "" {
		return errors.New("give --key or --keyFile, not both")
	}
	if f.keyFile != "" {
		text, err := os.ReadFile(f.keyFile)
		if err != nil {
			return fmt.Errorf("--keyFile: %w", err)
		}
		f.options.Key = strings.TrimSpace(string(text))
		if f.options.Key == "" {
			return fmt.Errorf("--keyFile: %s is empty", f.keyFile)
		}
	}
	if f.options.Key == "" {
		f.options.Key = variable(environ, keyVariable)
	}
	return nil
}

func (f *doctorFlags) readCA() error {
	if f.caFile == "" {
		return nil
	}
	pem, err := os.ReadFile(f.caFile)
	if err != nil {
		return fmt.Errorf("--ca: %w", err)
	}
	f.options.Roots = x509.NewCertPool()
	if !f.options.Roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("--ca: there is no certificate in %s", f.caFile)
	}
	return nil
}

// openLog follows Immich's log, from a file or, with "-", from standard input. The file stays open until the process ends.
func (f *doctorFlags) openLog(ctx context.Context) error {
	if f.logFile == "" {
		return nil
	}
	file := os.Stdin
	if f.logFile != "-" {
		var err error
		if file, err = os.Open(f.logFile); err != nil {
			return fmt.Errorf("--immichLog: %w", err)
		}
	}
	log, err := doctor.Follow(ctx, file)
	if err != nil {
		return fmt.Errorf("--immichLog: %w", err)
	}
	f.options.ImmichLog = log
	return nil
}

func (f *doctorFlags) print(report *doctor.Report, c *console) error {
	if f.asJSON {
		return report.WriteJSON(c.out)
	}
	return report.WriteTable(c.out, doctor.Style{
		Width: columns(c.out, c.environ),
		Color: c.isColored(),
	})
}

// isColored reports whether the output is a terminal that shows colours, and the user wants them.
func (c *console) isColored() bool {
	return isTerminal(c.out) && variable(c.environ, "NO_COLOR") == "" && variable(c.environ, "TERM") != "dumb"
}

// progress is a line of a terminal that each step overwrites.
type progress struct {
	out io.Writer // nil if the output is not a terminal
}

func newProgress(out io.Writer, environ []string) progress {
	if !isTerminal(out) || variable(environ, "TERM") == "dumb" {
		return progress{}
	}
	return progress{out}
}

func (p progress) show(step string) {
	if p.out != nil {
		fmt.Fprintf(p.out, "\r\x1b[K… %s", step)
	}
}

func (p progress) clear() {
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func isTerminal(stream any) bool {
	return terminalWidth(stream) > 0
}

func terminalWidth(stream any) int {
	file, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 {
		return usualWidth // the terminal does not report its width
	}
	return int(size.Col)
}

func columns(w io.Writer, environ []string) int {
	if width := terminalWidth(w); width > 0 {
		return width
	}
	if width, err := strconv.Atoi(variable(environ, "COLUMNS")); err == nil && width > 0 {
		return width
	}
	return usualWidth
}

func variable(environ []string, name string) string {
	at := slices.IndexFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	if at < 0 {
		return ""
	}
	return environ[at][len(name)+1:]
}
