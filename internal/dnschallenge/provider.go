// Package dnschallenge answers the ACME challenge DNS-01: it sets a TXT record at a DNS provider, with the providers of lego and one
// of its own, and waits until the zone's nameservers have it. Neither port 443 nor port 80 has to be reachable for that, and a
// certificate may be for a wildcard.
package dnschallenge

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	legolog "github.com/go-acme/lego/v4/log"
	"github.com/immichaccess/immichaccess/internal/dnschallenge/route53"
)

// Provider sets and removes TXT records. It is not safe for concurrent use, since not all of lego's providers are.
type Provider struct {
	entry
	lego     challenge.Provider
	mask     *strings.Replacer
	timeout  time.Duration // how long to wait until the record is visible
	interval time.Duration // between two queries
	sequence time.Duration // pause between two challenges; only with oneAtATime
	// oneAtATime is true if a second record of the same name would replace the first.
	oneAtATime bool
}

// Names returns the providers' names, as lego has them.
func Names() []string {
	names := make([]string, len(table))
	for i, e := range table {
		names[i] = e.name
	}
	return names
}

// Variables returns the names of the environment variables that most users of the provider set.
func Variables(name string) ([]string, error) {
	e, err := find(name)
	if err != nil {
		return nil, err
	}
	return e.needed(), nil
}

func find(name string) (entry, error) {
	i := slices.IndexFunc(table, func(e entry) bool { return e.name == name })
	if i < 0 {
		return entry{}, fmt.Errorf("%q is not known; allowed are %s", name, strings.Join(Names(), ", "))
	}
	return table[i], nil
}

// Open reads the provider's variables from the environment, or from files that the environment names: NAME_FILE instead of
// NAME. The error names the missing ones, and contains no secret. Open sends nothing.
func Open(name string) (*Provider, error) {
	e, err := find(name)
	if err != nil {
		return nil, err
	}
	if err := e.checkVariables(); err != nil {
		return nil, err
	}
	p := &Provider{entry: e, mask: e.newMask()}
	inUse.Store(p)
	if p.lego, err = e.open(); err != nil {
		if _, own := errors.AsType[*route53.SettingsError](err); own { // which names the variables itself
			return nil, p.masked(err)
		}
		return nil, e.explain(p.masked(err))
	}
	p.timeout, p.interval = dns01.DefaultPropagationTimeout, dns01.DefaultPollingInterval
	if timed, is := p.lego.(challenge.ProviderTimeout); is {
		p.timeout, p.interval = timed.Timeout()
	}
	if sequential, is := p.lego.(interface{ Sequential() time.Duration }); is {
		p.oneAtATime, p.sequence = true, sequential.Sequential()
	}
	return p, nil
}

// checkVariables finds what lego would treat as a missing variable, or would notice only when it uses it.
func (e entry) checkVariables() error {
	var errs []error
	for _, name := range e.variables() {
		value, err := valueOf(name)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s_FILE: %w", name, err))
		case value != strings.TrimSpace(value):
			errs = append(errs, fmt.Errorf("%s has blanks or line breaks around its value", name))
		case name == "EXEC_PATH" && value != "":
			if _, err := exec.LookPath(value); err != nil {
				errs = append(errs, fmt.Errorf("EXEC_PATH: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// valueOf returns a variable as lego reads it.
func valueOf(name string) (string, error) {
	value, file := os.Getenv(name), os.Getenv(name+"_FILE")
	if value != "" || file == "" {
		return value, nil
	}
	content, err := os.ReadFile(file)
	return strings.TrimSuffix(string(content), "\n"), err
}

// explain names the variables that are not set, if that is why lego can't use the provider.
func (e entry) explain(err error) error {
	var missing []string
	for _, name := range e.needed() {
		if value, _ := valueOf(name); value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return err
	}
	return fmt.Errorf("%s needs %s in the environment, or the name of a file with the value in %s_FILE",
		e.name, strings.Join(missing, " and "), strings.Join(missing, "_FILE and "))
}

// shortestSecret is the shortest text that is masked: shorter ones occur in ordinary words.
const shortestSecret = 4

// newMask replaces the secrets, as they are and as they appear in a URL.
func (e entry) newMask() *strings.Replacer {
	var pairs []string
	for _, name := range e.secrets() {
		value, _ := valueOf(name)
		if len(value) < shortestSecret {
			continue
		}
		for _, spelling := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			pairs = append(pairs, spelling, "****")
		}
	}
	return strings.NewReplacer(pairs...)
}

var (
	userInformation = regexp.MustCompile(`://[^/@\s"]+@`)
	spaces          = regexp.MustCompile(`\s+`)
)

// masked returns the error's text, on one line and without secrets. The error itself is dropped, so that nothing else can print
// it.
func (p *Provider) masked(err error) error {
	return errors.New(p.hide(err.Error()))
}

func (p *Provider) hide(text string) string {
	text = userInformation.ReplaceAllString(p.mask.Replace(text), "://****@")
	return strings.TrimSpace(spaces.ReplaceAllString(text, " "))
}

// inUse is the provider whose secrets lego's log may hold.
var inUse atomic.Pointer[Provider]

func init() {
	legolog.Logger = log.New(legoLog{}, "", 0)
}

// legoLog writes lego's log to ours: the output of a program that it runs, and, at level debug, the rest.
type legoLog struct{}

func (legoLog) Write(line []byte) (int, error) {
	text, level := string(line), slog.LevelInfo
	if p := inUse.Load(); p != nil {
		text = p.hide(text)
	}
	if strings.HasPrefix(text, "[") { // lego's own levels
		level = slog.LevelDebug
	}
	slog.Log(context.Background(), level, "dns: "+text)
	return len(line), nil
}
