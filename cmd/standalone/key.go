package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
)

var keyName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// The middleware in the Docker label has the name that the examples and the documentation give it.
const keyText = `The access key. It is shown only this once:

    %[2]s

Its entry for the configuration. It contains a hash, from which the key can't be computed:

    %[1]s:sha256:%[3]x

    in immichaccess.yml  access:
                           keys:
                             - %[1]s:sha256:%[3]x
    as a flag            --access.keys=%[1]s:sha256:%[3]x
    as a Docker label    traefik.http.middlewares.immich-key.plugin.immichaccess.keys=%[1]s:sha256:%[3]x
    in the keysFile      %[1]s:sha256:%[3]x

In the Immich app, before or after you log in: Settings (the gear icon) > Advanced > Custom proxy headers

    header name    X-Access-Key
    header value   %[2]s

In a browser, with --access.browserLogin=true: https://YOUR.DOMAIN/.immichaccess#%[2]s
`

func makeKey(c *console) error {
	if len(c.args) != 1 {
		return usageError{errors.New("key: give the new key a name, for example that of the device: immichaccess key phone")}
	}
	name := c.args[0]
	if !keyName.MatchString(name) {
		return usageError{fmt.Errorf("key: %q is not a name; allowed are letters, digits and ._-", name)}
	}
	secret := rand.Text()
	c.print(keyText, name, secret, sha256.Sum256([]byte(secret)))
	return nil
}
