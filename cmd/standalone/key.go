package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/immichaccess/immichaccess"
	"github.com/immichaccess/immichaccess/internal/qrcode"
)

// The middleware in the labels has the name that the examples and the documentation give it.
const keyText = `The access key. It is shown only this once:

    %[1]s

Its entry for the configuration. It contains a hash, from which the key can't be computed:

    %[2]s

Add the entry to your keys. In a list with commas, the next entry follows the comma without a blank.

  In immichaccess.yml:
    access:
      keys:
        - %[2]s
  As a flag:
    --access.keys=%[2]s
  In the file of the option keysFile:
    %[2]s
  In Traefik's dynamic.yml:
    http:
      middlewares:
        immich-key:
          plugin:
            immichaccess:
              keys:
                - %[2]s
  As a Docker label for Traefik:
    traefik.http.middlewares.immich-key.plugin.immichaccess.keys=%[2]s
  In Docker Compose, with Traefik:
    labels:
      - traefik.http.middlewares.immich-key.plugin.immichaccess.keys=%[2]s
  In Docker Compose, with the standalone proxy:
    environment:
      IMMICHACCESS_ACCESS_KEYS: %[2]s

In the Immich app, before or after you log in: Settings (the gear icon) > Advanced > Custom proxy headers

    header name     X-Access-Key
    header value    %[1]s
`

const (
	unknownDomainText = `
In a browser, with access.browserLogin: https://YOUR.DOMAIN/.immichaccess#%[1]s
With --domain=photos.example.com, this command prints that link for your domain, and its QR code.
`
	linkText = `    server address  https://%[1]s

The link and its QR code, for the one who gets the key. They need access.browserLogin: true, and open a page that logs the
browser in, or shows what to enter in the app. Whoever has the link has the key.

    %[2]s

%[3]s`
)

func makeKey(c *console) error {
	name, host, err := parseKey(c.args)
	if err != nil {
		return usageError{fmt.Errorf("key: %w", err)}
	}
	secret := rand.Text()
	entry := fmt.Sprintf("%s:sha256:%x", name, sha256.Sum256([]byte(secret)))
	if err := checkEntry(entry); err != nil {
		return usageError{fmt.Errorf("key: %q can't be the name of a key, since its entry would look like another kind of hash", name)}
	}
	if host == "" {
		c.print(keyText+unknownDomainText, secret, entry)
		return nil
	}
	link := "https://" + host + "/.immichaccess#" + secret
	code, err := c.drawQRCode(link)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	c.print(keyText, secret, entry)
	c.print(linkText, host, link, code)
	return nil
}

var keyName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// parseKey returns the name of the key and the host of its link, "" without --domain.
func parseKey(args []string) (name, host string, err error) {
	flags := flag.NewFlagSet("key", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	domain := flags.String("domain", "", "")
	names, err := parseAround(flags, args)
	if err != nil {
		return "", "", err
	}
	if len(names) != 1 {
		return "", "", errors.New("give the new key a name, such as the device's: immichaccess key phone")
	}
	if !keyName.MatchString(names[0]) {
		return "", "", fmt.Errorf("%q is not a name; allowed are letters, digits and ._-", names[0])
	}
	flags.Visit(func(*flag.Flag) { host, err = parseHost(*domain) }) // also if it is given, but empty
	return names[0], host, err
}

// checkEntry has the gateway's own code parse the entry.
func checkEntry(entry string) error {
	config := immichaccess.CreateConfig()
	config.Keys = []string{entry}
	return config.Validate()
}

var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// parseHost accepts HOST and HOST:PORT, and returns them as they are written in a link: international names in ASCII, and
// without the port that every browser uses.
func parseHost(domain string) (string, error) {
	host, port, found := strings.Cut(domain, ":")
	if number, err := strconv.ParseUint(port, 10, 16); found && (err != nil || number == 0) {
		return "", errNoHost
	}
	host, err := idna.Lookup.ToASCII(host)
	if err != nil || !hostName.MatchString(host) || len(host) > 253 {
		return "", errNoHost
	}
	if !found || port == "443" {
		return host, nil
	}
	return net.JoinHostPort(host, port), nil
}

// errNoHost does not show the value, which may be a whole link, with a key.
var errNoHost = errors.New("--domain: allowed is a host name, such as photos.example.com, without https:// and without a path")

// drawQRCode uses colours if the output is a terminal that shows them.
func (c *console) drawQRCode(link string) (string, error) {
	if c.isColored() {
		return qrcode.Colored(link)
	}
	return qrcode.Plain(link)
}
