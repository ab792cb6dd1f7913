package setup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/immichaccess/immichaccess/internal/accesskey"
	"github.com/immichaccess/immichaccess/internal/app"
	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/dnschallenge"
)

// Flags are the names of the flags that answer a question.
var Flags = []string{
	"domain", "upstream", "certificate", "email", "provider", "certFile", "keyFile", "listen", "trustedProxies", "keyName", "browserLogin",
	"keylessNetworks",
}

// Ask returns the answers to all questions. It changes nothing.
func Ask(ctx context.Context, d *Dialog) (*Answers, error) {
	a := &Answers{}
	for _, ask := range []func(context.Context, *Dialog) error{a.askDomain, a.askUpstream, a.askCertificate, a.askDetails, a.askAccess} {
		if err := ask(ctx, d); err != nil {
			return nil, err
		}
	}
	return a, d.checkUsed(a.Certificate)
}

func (a *Answers) askDomain(ctx context.Context, d *Dialog) error {
	return d.ask(ctx, question{"domain", "The host name by which clients reach Immich, such as photos.example.com. None is needed to try the proxy at home.", noAnswer, func(answer string) (err error) {
		if answer == "" {
			return nil
		}
		if a.Domain, err = accesskey.ParseHost(answer); err != nil {
			return err
		}
		return a.check("domains")
	}})
}

// check has the options' own parser judge the answers.
func (a *Answers) check(option string) error {
	return a.settings().Check(option)
}

func (a *Answers) askUpstream(ctx context.Context, d *Dialog) error {
	unanswered := ""
	return d.ask(ctx, question{"upstream", "Immich's own address, as this machine reaches it.", config.Defaults().Upstreams[0], func(answer string) error {
		a.Upstream = strings.TrimRight(answer, "/")
		if err := a.check("upstreams"); err != nil {
			return err
		}
		err := reachImmich(ctx, a.Upstream)
		_, given := d.Given["upstream"]
		switch {
		case err == nil:
			d.print("    Immich answers.\n")
		case given || d.Lines == nil || a.Upstream == unanswered:
			d.print("    %v\n", err)
		default:
			unanswered = a.Upstream
			return fmt.Errorf("%w; to use this address nevertheless, enter it again", err)
		}
		return nil
	}})
}

// reachImmich also tells of an address that has the wrong scheme.
func reachImmich(ctx context.Context, upstream string) error {
	other := strings.Replace(upstream, "http://", "https://", 1)
	if other == upstream {
		other = strings.Replace(upstream, "https://", "http://", 1)
	}
	errs := app.PingUpstreams(ctx, []string{upstream, other})
	switch {
	case errs[0] == nil:
		return nil
	case errs[1] == nil:
		return fmt.Errorf("Immich does not answer at %s, but at %s", upstream, other) //nolint:staticcheck // a name
	}
	return fmt.Errorf("Immich does not answer at %s: %w", upstream, errs[0]) //nolint:staticcheck // a name
}

// choice is one of several answers.
type choice struct{ name, text string }

func (a *Answers) askCertificate(ctx context.Context, d *Dialog) error {
	choices := []choice{
		{byACME, "from Let's Encrypt; port 443 or 80 must be reachable from the Internet"},
		{byDNS, "from Let's Encrypt, validated by a record at your DNS provider; no port needs to be open"},
		{fromFiles, "a certificate of your own, in PEM files"},
		{elsewhere, "another proxy or a tunnel in front terminates TLS, and connects over HTTP"},
	}
	if a.Domain == "" {
		choices = []choice{
			{selfSigned, "made by the proxy; browsers warn about it, and clients don't trust it"},
			{fromFiles, "a certificate of your own, in PEM files"},
		}
	}
	text := "Where the certificate for HTTPS comes from:"
	var names []string
	for _, c := range choices {
		text += fmt.Sprintf("\n    %-12s %s", c.name, c.text)
		names = append(names, c.name)
	}
	return d.ask(ctx, question{"certificate", text, names[0], func(answer string) error {
		a.Certificate = answer
		switch {
		case slices.Contains(names, answer):
			return nil
		case slices.Contains([]string{byACME, byDNS, elsewhere}, answer):
			return fmt.Errorf("%s needs a domain; without one, allowed are %s", answer, strings.Join(names, ", "))
		}
		return fmt.Errorf("%q is not allowed here; allowed are %s", answer, strings.Join(names, ", "))
	}})
}

func (a *Answers) askDetails(ctx context.Context, d *Dialog) error {
	var questions []question
	switch a.Certificate {
	case byACME:
		questions = []question{a.email()}
	case byDNS:
		questions = []question{a.provider(), a.email()}
	case fromFiles:
		questions = []question{a.certFile(), a.keyFile()}
	case elsewhere:
		questions = []question{a.listen(), a.trustedProxies()}
	}
	return d.askAll(ctx, questions)
}

func (d *Dialog) askAll(ctx context.Context, questions []question) error {
	for _, q := range questions {
		if err := d.ask(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (a *Answers) email() question {
	return question{"email", "An e-mail address that the certificate authority may write to. With one, ZeroSSL is tried when Let's Encrypt fails.", noAnswer, func(answer string) error {
		a.Email = answer
		return a.check("acme.email")
	}}
}

func (a *Answers) provider() question {
	text := "The DNS provider of the domain, one of\n    " + strings.Join(dnschallenge.Names(), ", ")
	return question{"provider", text, "", func(answer string) error {
		a.Provider = answer
		_, err := dnschallenge.Variables(answer)
		return err
	}}
}

func (a *Answers) certFile() question {
	return question{"certFile", "The PEM file with the certificate and its chain.", "", func(answer string) (err error) {
		if answer == "" {
			return errors.New("a file is needed")
		}
		if a.CertFile, err = filepath.Abs(answer); err != nil {
			return err
		}
		certificates, err := config.ReadCertificates(a.CertFile)
		if err != nil || a.Domain == "" {
			return err
		}
		return certificates[0].VerifyHostname(a.Domain)
	}}
}

func (a *Answers) keyFile() question {
	return question{"keyFile", "The PEM file with its private key.", "", func(answer string) (err error) {
		if answer == "" {
			return errors.New("a file is needed")
		}
		if a.KeyFile, err = filepath.Abs(answer); err != nil {
			return err
		}
		return a.check("tls")
	}}
}

func (a *Answers) listen() question {
	return question{"listen", "The address to listen on, to which the proxy in front connects.", "127.0.0.1:8080", func(answer string) error {
		if a.Listen = answer; answer == "" {
			return errors.New("an address is needed, such as 127.0.0.1:8080")
		}
		return a.check("listen.plain")
	}}
}

func (a *Answers) trustedProxies() question {
	return question{"trustedProxies", "The IP address or network that the proxy in front connects from. Only its X-Forwarded-For is trusted.", "127.0.0.1", func(answer string) error {
		if a.TrustedProxies = list(answer); len(a.TrustedProxies) == 0 {
			return errors.New("an address is needed, such as 127.0.0.1, or the network of the containers")
		}
		return a.check("access.trustedProxies")
	}}
}

func (a *Answers) askAccess(ctx context.Context, d *Dialog) error {
	return d.askAll(ctx, []question{a.keyName(), a.browserLogin(), a.keylessNetworks()})
}

func (a *Answers) keyName() question {
	return question{"keyName", "A name for the first access key, such as the device's. It is shown in the log.", "phone", func(answer string) error {
		a.KeyName = answer
		return accesskey.CheckName(answer)
	}}
}

func (a *Answers) browserLogin() question {
	return question{"browserLogin", "Show browsers a login page for the key? The link and the QR code of a key lead to that page.", "no", func(answer string) error {
		switch strings.ToLower(answer) {
		case "yes", "y", "true":
			a.BrowserLogin = true
		case "no", "n", "false":
			a.BrowserLogin = false
		default:
			return fmt.Errorf("%q is neither yes nor no", answer)
		}
		return nil
	}}
}

func (a *Answers) keylessNetworks() question {
	text := "Networks whose clients need no key, such as your home network, separated by commas."
	if networks := homeNetworks(); len(networks) > 0 {
		text += " This machine's: " + strings.Join(networks, ",") + "."
	}
	return question{"keylessNetworks", text, noAnswer, func(answer string) error {
		a.KeylessNetworks = list(answer)
		return a.check("access.keylessNetworks")
	}}
}

func list(answer string) []string {
	var entries []string
	for entry := range strings.SplitSeq(answer, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}
