package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/immichaccess/immichaccess/internal/accesskey"
	"github.com/immichaccess/immichaccess/internal/qrcode"
)

const secretText = `The access key. It is shown only this once:

    %s

`

// The middleware in the labels has the name that the examples and the documentation give it.
const entryText = `Its entry for the configuration. It contains a hash, from which the key can't be computed:

    %[1]s

Add the entry to your keys. In a list with commas, the next entry follows the comma without a blank.

  In immichaccess.yml:
    access:
      keys:
        - %[1]s
  As a flag:
    --access.keys=%[1]s
  In the file of the option keysFile:
    %[1]s
  In Traefik's dynamic.yml:
    http:
      middlewares:
        immich-key:
          plugin:
            immichaccess:
              keys:
                - %[1]s
  As a Docker label for Traefik:
    traefik.http.middlewares.immich-key.plugin.immichaccess.keys=%[1]s
  In Docker Compose, with Traefik:
    labels:
      - traefik.http.middlewares.immich-key.plugin.immichaccess.keys=%[1]s
  In Docker Compose, with the standalone proxy:
    environment:
      IMMICHACCESS_ACCESS_KEYS: %[1]s

`

const appText = `In the Immich app, before or after you log in: Settings (the gear icon) > Advanced > Custom proxy headers

    header name     X-Access-Key
    header value    %s
`

const (
	unknownDomainText = `
In a browser, with access.browserLogin: https://YOUR.DOMAIN/.immichaccess#%[1]s
With --domain=photos.example.com, this command prints that link for your domain, and its QR code.
`
	serverText      = "    server address  https://%s\n"
	knownDomainText = `
The link and its QR code, for the one who gets the key. They need access.browserLogin: true, and open a page that logs the
browser in, or shows what to enter in the app. Whoever has the link has the key.

    %s

%s`
)

func makeKey(c *console) error {
	name, host, err := parseKey(c.args)
	if err != nil {
		return usageError{fmt.Errorf("key: %w", err)}
	}
	key, err := accesskey.New(name)
	if err != nil {
		return usageError{fmt.Errorf("key: %w", err)}
	}
	link, err := c.linkText(key, host)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	c.print(secretText, key.Secret)
	c.print(entryText, key.Entry)
	c.print(appText, key.Secret)
	c.print("%s", link)
	return nil
}

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
	flags.Visit(func(*flag.Flag) { // also if it is given, but empty
		if host, err = accesskey.ParseHost(*domain); err != nil {
			err = fmt.Errorf("--domain: %w", err)
		}
	})
	return names[0], host, err
}

// linkText is about the key's link, at the host unless that is empty.
func (c *console) linkText(key accesskey.Key, host string) (string, error) {
	if host == "" {
		return fmt.Sprintf(unknownDomainText, key.Secret), nil
	}
	link := key.Link(host)
	code, err := c.drawQRCode(link)
	return fmt.Sprintf(serverText+knownDomainText, host, link, code), err
}

// drawQRCode uses colours if the output is a terminal that shows them.
func (c *console) drawQRCode(link string) (string, error) {
	if c.isColored() {
		return qrcode.Colored(link)
	}
	return qrcode.Plain(link)
}
