package immichaccess

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	weakSecret   = 16 // characters
	digestPrefix = "sha256:"
)

// Warnings about keys that are accepted.
const (
	isWeak       = "secrets of less than 16 characters are easy to guess"
	isPublished  = "keys of the examples, which everybody knows; generate your own"
	isLikeDigest = "secrets that look like a digest; if they are, put sha256: in front, or else the digest itself is the key"
	hasExpired   = "keys that have expired"
)

// published are the digests of the keys in examples/ and in the documentation.
var published = map[string]bool{
	"dbb66a212f682229ee620be615b0688d7e6e65cdccb6b6cc9c5cbe9292dfd984": true, // example-phone-key-change-me
	"365ba8c923201580ef432d96afd2a65ab16d24716acafdb76e5617d20ecbd896": true, // example-monitor-key-change-me
}

// entry is one key.
type entry struct {
	name      string
	digest    [sha256.Size]byte
	expiresAt time.Time       // zero: never
	methods   map[string]bool // nil: all
	warning   string          // "" or one of the above
}

// isUnrestricted reports whether the key is valid for every request, at any time.
func (e *entry) isUnrestricted() bool {
	return e.expiresAt.IsZero() && e.methods == nil
}

func isExpired(e *entry) bool {
	return !e.expiresAt.IsZero() && time.Until(e.expiresAt) <= 0
}

// forbids returns why the key is not valid for the request, nil if it is. It and what it calls are not methods, which would cost
// Yaegi more to call.
func forbids(e *entry, r *http.Request) *denial {
	if isExpired(e) {
		return &denial{reason: expiredKey, key: e.name}
	}
	if e.methods != nil {
		return forbidsMethod(e, r)
	}
	return nil
}

// forbidsMethod is for a key with methods. An upgraded connection carries every method, so it needs all of them.
func forbidsMethod(e *entry, r *http.Request) *denial {
	switch {
	case !e.methods[r.Method]:
		return &denial{reason: "method not allowed for this key", key: e.name}
	case len(r.Header["Upgrade"]) > 0 && len(e.methods) < len(knownMethods):
		return &denial{reason: "upgrade not allowed for this key", key: e.name}
	}
	return nil
}

// keySet holds entries that have different names and different secrets.
type keySet struct {
	byDigest map[[sha256.Size]byte]*entry
	byName   map[string]*entry
	unnamed  int
}

func newKeySet() *keySet {
	return &keySet{byDigest: map[[sha256.Size]byte]*entry{}, byName: map[string]*entry{}}
}

func (s *keySet) copy() *keySet {
	c := newKeySet()
	c.unnamed = s.unnamed
	for digest, e := range s.byDigest {
		c.byDigest[digest] = e
		c.byName[e.name] = e
	}
	return c
}

// add parses an entry. Its errors show at most the name.
func (s *keySet) add(text string) error {
	e, err := parseEntry(text)
	if err != nil {
		return err
	}
	if e.name == "" {
		s.unnamed++
		e.name = "key" + strconv.Itoa(s.unnamed)
	}
	if s.byName[e.name] != nil {
		return fmt.Errorf("the name %q is taken by an earlier entry; give each entry its own", e.name)
	}
	if other := s.byDigest[e.digest]; other != nil {
		return fmt.Errorf("%q has the same secret as %q; give each entry its own", e.name, other.name)
	}
	s.byName[e.name] = e
	s.byDigest[e.digest] = e
	return nil
}

// parseEntry reads [NAME:]SECRET [expires=2027-01-31] [methods=GET,HEAD].
func parseEntry(text string) (*entry, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil, errors.New("it is empty; the form is NAME:SECRET")
	}
	name, secret, err := splitName(fields[0])
	if err != nil {
		return nil, err
	}
	e := &entry{name: name}
	if e.digest, err = digestOf(secret); err != nil {
		return nil, named(name, err)
	}
	e.warning = warningOf(secret, e.digest)
	if e.digest == sha256.Sum256(nil) || e.digest == sha256.Sum256([]byte("\n")) {
		return nil, named(name, errors.New("it is the digest of an empty secret"))
	}
	for i, field := range fields[1:] {
		if err := e.setAttribute(field); err != nil {
			return nil, named(name, fmt.Errorf("attribute %d: %w", i+1, err))
		}
	}
	return e, nil
}

func warningOf(secret string, digest [sha256.Size]byte) string {
	raw, err := hex.DecodeString(secret)
	switch {
	case published[hex.EncodeToString(digest[:])]:
		return isPublished
	case !isDigest(secret) && len(secret) < weakSecret:
		return isWeak
	case err == nil && len(raw) == sha256.Size:
		return isLikeDigest
	}
	return ""
}

func named(name string, err error) error {
	if name == "" {
		return err
	}
	return fmt.Errorf("%q: %w", name, err)
}

func splitName(field string) (name, secret string, err error) {
	if isDigest(field) || otherDigest(field) {
		return "", field, nil
	}
	name, secret, found := strings.Cut(field, ":")
	if !found {
		return "", field, nil
	}
	if !isName(name) {
		return "", "", errors.New("the text before the first colon is not a name; allowed are letters, digits and ._- " +
			"(a secret that contains a colon needs a name)")
	}
	return name, secret, nil
}

func isName(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

func isDigest(secret string) bool {
	return len(secret) >= len(digestPrefix) && strings.EqualFold(secret[:len(digestPrefix)], digestPrefix)
}

// otherDigest recognizes other digests, such as sha512:…, which as a secret would be the key themselves.
func otherDigest(secret string) bool {
	rest, found := strings.CutPrefix(strings.ToLower(secret), "sha")
	rest = strings.TrimLeft(rest, "-_")
	ending := strings.TrimLeft(rest, "0123456789")
	return found && ending != rest && (strings.HasPrefix(ending, ":") || strings.HasPrefix(ending, "="))
}

func digestOf(secret string) ([sha256.Size]byte, error) {
	if isDigest(secret) {
		return parseDigest(secret[len(digestPrefix):])
	}
	return sha256.Sum256([]byte(secret)), checkSecret(secret)
}

func parseDigest(digits string) ([sha256.Size]byte, error) {
	var digest [sha256.Size]byte
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != sha256.Size {
		return digest, errors.New("a digest is sha256: and 64 hex digits")
	}
	copy(digest[:], raw)
	return digest, nil
}

// checkSecret accepts what a client can send as one header value.
func checkSecret(secret string) error {
	if secret == "" {
		return errors.New("the secret is empty")
	}
	if otherDigest(secret) {
		return errors.New("a digest is written sha256: and 64 hex digits")
	}
	if knownMethods[strings.ToUpper(secret)] {
		return errors.New("a method is not a secret; in a comma-separated list, join methods with a plus sign: methods=GET+HEAD")
	}
	if strings.HasPrefix(secret, "expires=") || strings.HasPrefix(secret, "methods=") {
		return errors.New("an attribute is not a secret; the form is NAME:SECRET expires=2027-01-31 methods=GET,HEAD")
	}
	for i := 0; i < len(secret); i++ {
		if secret[i] <= ' ' || secret[i] > '~' || secret[i] == ',' {
			return errors.New("the secret has a character that a header can't carry; allowed is printable ASCII without blanks and commas")
		}
	}
	return nil
}

// setAttribute does not show an invalid attribute, which may be part of a secret that contains a blank.
func (e *entry) setAttribute(field string) error {
	name, value, _ := strings.Cut(field, "=")
	switch {
	case name == "expires" && e.expiresAt.IsZero():
		return e.setExpires(value)
	case name == "methods" && e.methods == nil:
		return e.setMethods(value)
	case name == "expires" || name == "methods":
		return fmt.Errorf("%s= is given twice", name)
	}
	return errors.New("unknown attribute; allowed are expires=2027-01-31 and methods=GET,HEAD")
}

func (e *entry) setExpires(value string) error {
	day, err := time.Parse("2006-01-02", value)
	if err != nil {
		return fmt.Errorf("expires=%q is not a date; write it like expires=2027-01-31", value)
	}
	e.expiresAt = day.AddDate(0, 0, 1)
	return nil
}

// knownMethods are the methods of RFC 9110, section 9, and RFC 5789.
var knownMethods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true,
	"DELETE": true, "OPTIONS": true, "CONNECT": true, "TRACE": true,
}

func (e *entry) setMethods(value string) error {
	e.methods = map[string]bool{}
	for _, method := range strings.FieldsFunc(value, isMethodSeparator) {
		method = strings.ToUpper(method)
		if !knownMethods[method] {
			return fmt.Errorf("%q is not a method; allowed are GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT and TRACE", method)
		}
		e.methods[method] = true
	}
	if len(e.methods) == 0 {
		return errors.New("methods= is empty; write it like methods=GET,HEAD or methods=GET+HEAD")
	}
	return nil
}

func isMethodSeparator(c rune) bool {
	return c == ',' || c == '+'
}
