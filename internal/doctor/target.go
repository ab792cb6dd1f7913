package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is the address of the deployment, as given.
type target struct {
	scheme string
	host   string // name or address
	port   string
	path   string // without a slash at its end; empty for the root, where Immich belongs
}

var errURL = errors.New("give the address of your Immich, such as https://photos.example.com")

// parseTarget accepts what people have at hand: a host name, or the app's server address, which ends in /api. Its errors do not
// contain the text, which may include a password.
func parseTarget(text string) (target, error) {
	if text == "" {
		return target{}, errURL
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return target{}, errURL
	case u.User != nil:
		return target{}, errors.New("the address must not contain a user name or password; give the access key with --keyFile")
	case u.RawQuery != "" || u.Fragment != "":
		return target{}, errors.New("the address must not contain a query (?) or fragment (#)")
	}
	t := target{scheme: u.Scheme, host: u.Hostname(), port: u.Port()}
	if t.port == "" {
		t.port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	t.path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/api")
	return t, nil
}

// authority returns the value of the Host header.
func (t target) authority() string {
	if t.port == map[string]string{"http": "80", "https": "443"}[t.scheme] {
		if strings.Contains(t.host, ":") {
			return "[" + t.host + "]"
		}
		return t.host
	}
	return net.JoinHostPort(t.host, t.port)
}

func (t target) String() string {
	return t.origin() + t.path
}

func (t target) origin() string {
	return t.scheme + "://" + t.authority()
}

func (t target) isTLS() bool {
	return t.scheme == "https"
}

func checkOptions(options Options, t target) error {
	var errs []error
	if !isToken(options.KeyHeader) {
		errs = append(errs, fmt.Errorf("--keyHeader: %q is not the name of a header", options.KeyHeader))
	}
	if strings.ContainsFunc(options.Key, func(r rune) bool { return r < ' ' || r > '~' }) {
		errs = append(errs, errors.New("--key: only printable ASCII characters can be sent in a header"))
	}
	if options.Link != "" {
		if link, err := url.Parse(options.Link); err != nil || link.Hostname() != t.host || !isLinkPath(link.Path) {
			errs = append(errs, fmt.Errorf("--link: a shared link is like %s/share/… or %s/s/…", t.origin(), t.origin()))
		}
	}
	if options.HTTPURL != "" {
		if u, err := url.Parse(options.HTTPURL); err != nil || u.Scheme != "http" || u.Hostname() == "" {
			errs = append(errs, errors.New("--httpURL: an address is like http://photos.example.com:8080"))
		}
	}
	return errors.Join(errs...)
}

func isLinkPath(path string) bool {
	return strings.HasPrefix(path, "/share/") || strings.HasPrefix(path, "/s/")
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
