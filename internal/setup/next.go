package setup

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/dnschallenge"
)

// Place is where the files are, and who is going to run the proxy.
type Place struct {
	Dir     string
	Program string // how the proxy is called in a shell
	Root    bool
}

// MissingVariables names what the DNS provider needs and the environment does not have; "" if there is nothing.
func (a *Answers) MissingVariables() string {
	if a.Provider == "" {
		return ""
	}
	if _, err := dnschallenge.Open(a.Provider); err != nil {
		return err.Error()
	}
	return ""
}

// NextSteps says what is left for the user to do.
func (a *Answers) NextSteps(p Place) string {
	var text strings.Builder
	if a.Provider != "" {
		fmt.Fprintf(&text, "Fill in %s, then check it:\n\n    %s\n\n", filepath.Join(p.Dir, EnvironmentFile), a.command(p, "check "))
	}
	fmt.Fprintf(&text, "Run the proxy:\n\n    %s\n\n", a.command(p, ""))
	switch {
	case p.Dir != config.SystemDirectory:
		fmt.Fprintf(&text, "To run it as a service, do this again as root, with --directory=%s: that makes another key. See docs/standalone.md.\n", config.SystemDirectory)
	case a.IsPlain():
		text.WriteString("Or run it as a service, without the socket units; see docs/behind-a-proxy.md.\n")
	case a.CertFile != "":
		text.WriteString("Or run it as a service, which needs certificate.conf for files that only root can read; see docs/standalone.md.\n")
	default:
		text.WriteString("Or run it as a service, once its units are installed; see docs/standalone.md:\n\n" +
			"    systemctl enable --now immichaccess-https.socket immichaccess-http.socket immichaccess-quic.socket immichaccess.service\n")
	}
	return text.String()
}

// command runs the proxy, as root if it listens on a port below 1024, or another command.
func (a *Answers) command(p Place, name string) string {
	line := fmt.Sprintf("%s %s--configFile=%s", quoted(p.Program), name, quoted(filepath.Join(p.Dir, config.FileName)))
	if a.Provider != "" {
		line = "sh -c " + quoted(fmt.Sprintf("set -a; . %s; exec %s", quoted(filepath.Join(p.Dir, EnvironmentFile)), line))
	}
	if !p.Root && !a.IsPlain() && name == "" {
		line = "sudo " + line
	}
	return line
}

// quoted is a word of a shell.
func quoted(word string) string {
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%"
	if strings.Trim(word, harmless) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
