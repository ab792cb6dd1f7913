// Package accesskey makes access keys, and the links by which they are handed over.
package accesskey

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/immichaccess/immichaccess"
)

// Key is a new key.
type Key struct {
	Secret string
	Entry  string // for the configuration, with the digest
}

// New makes a random key.
func New(name string) (Key, error) {
	secret := rand.Text()
	key := Key{secret, fmt.Sprintf("%s:sha256:%x", name, sha256.Sum256([]byte(secret)))}
	return key, checkName(name, key.Entry)
}

var allowedName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// CheckName tells why a key can't have the name.
func CheckName(name string) error {
	_, err := New(name)
	return err
}

// IsName tells whether the name has only characters that are allowed in one.
func IsName(name string) bool {
	return allowedName.MatchString(name)
}

// checkName has the gateway itself read the entry.
func checkName(name, entry string) error {
	if !IsName(name) {
		return fmt.Errorf("%q is not a name; allowed are letters, digits and ._-", name)
	}
	config := immichaccess.CreateConfig()
	config.Keys = []string{entry}
	if config.Validate() != nil {
		return fmt.Errorf("%q can't be the name of a key, since its entry would look like another kind of hash", name)
	}
	return nil
}

// Link opens a page that logs a browser in, or shows what to enter in the app, with browserLogin.
func (k Key) Link(host string) string {
	return "https://" + host + "/.immichaccess#" + k.Secret
}

var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ParseHost accepts HOST and HOST:PORT, and returns them as they are written in a link: international names in ASCII, and
// without the port that every browser uses.
func ParseHost(text string) (string, error) {
	host, port, found := strings.Cut(text, ":")
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
var errNoHost = errors.New("allowed is a host name, such as photos.example.com, without https:// and without a path")
