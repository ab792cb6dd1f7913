package immichaccess

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	weakSecret   = 16 // characters
	digestPrefix = "sha256:"
)

// What keys are warned of, and work all the same.
const (
	isWeak       = "secrets of less than 16 characters are easy to guess"
	isPublished  = "keys of the examples, which everybody knows; make your own"
	isLikeDigest = "secrets that look like a digest; if they are, write sha256: in front, else the digest itself is the key"
	hasExpired   = "keys that have expired"
)

// published are the digests of the keys in examples/ and in the documentation.
var published = map[string]bool{
	"dbb66a212f682229ee620be615b0688d7e6e65cdccb6b6cc9c5cbe9292dfd984": true, // example-phone-key-change-me
	"365ba8c923201580ef432d96afd2a65ab16d24716acafdb76e5617d20ecbd896": true, // example-monitor-key-change-me
}

// entry is one key.
type entry struct {
	name    string
	digest  [sha256.Size]byte
	until   time.Time       // zero: for ever
	methods map[string]bool // nil: all
	warning string          // "" or one of the above
}

// keySet holds entries that have different names and different secrets.
type keySet struct {
	byDigest map[[sha256.Size]byte]*entry
	names    map[string]bool
	unnamed  int
}

func newKeySet() *keySet {
	return &keySet{byDigest: map[[sha256.Size]byte]*entry{}, names: map[string]bool{}}
}

func (s *keySet) copy() *keySet {
	c := newKeySet()
	c.unnamed = s.unnamed
	for digest, e := range s.byDigest {
		c.byDigest[digest] = e
		c.names[e.name] = true
	}
	return c
}

// add parses an entry. Its errors show the name at most.
func (s *keySet) add(text string) error {
	e, err := parseEntry(text)
	if err != nil {
		return err
	}
	if e.name == "" {
		s.unnamed++
		e.name = "key" + strconv.Itoa(s.unnamed)
	}
	if s.names[e.name] {
		return fmt.Errorf("the name %q is taken by an earlier entry; give each its own", e.name)
	}
	if other := s.byDigest[e.digest]; other != nil {
		return fmt.Errorf("%q has the same secret as %q; give each its own", e.name, other.name)
	}
	s.names[e.name] = true
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
		return nil, about(name, err)
	}
	e.warning = warningOf(secret, e.digest)
	if e.digest == sha256.Sum256(nil) || e.digest == sha256.Sum256([]byte("\n")) {
		return nil, about(name, errors.New("it is the digest of an empty secret"))
	}
	for i, field := range fields[1:] {
		if err := e.setAttribute(field); err != nil {
			return nil, about(name, fmt.Errorf("attribute %d: %w", i+1, err))
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

func about(name string, err error) error {
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
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return "", "", errors.New("what stands before the first colon is not a name; allowed are letters, digits and ._- " +
			"(a secret that holds a colon needs a name in front)")
	}
	return name, secret, nil
}

func isDigest(secret string) bool {
	return len(secret) >= len(digestPrefix) && strings.EqualFold(secret[:len(digestPrefix)], digestPrefix)
}

// otherDigest tells what is meant as a digest, such as sha512:…; taken as a secret, it would be the key.
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

// checkSecret wants what a client can send as one header value.
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

// setAttribute says nothing of what it can't read: it may be a part of a secret that holds a blank.
func (e *entry) setAttribute(field string) error {
	name, value, _ := strings.Cut(field, "=")
	switch {
	case name == "expires" && e.until.IsZero():
		return e.setExpires(value)
	case name == "methods" && e.methods == nil:
		return e.setMethods(value)
	case name == "expires" || name == "methods":
		return fmt.Errorf("%s= stands there twice", name)
	}
	return errors.New("it is not known; allowed are expires=2027-01-31 and methods=GET,HEAD")
}

func (e *entry) setExpires(value string) error {
	day, err := time.Parse("2006-01-02", value)
	if err != nil {
		return fmt.Errorf("expires=%q is not a day; write it like expires=2027-01-31", value)
	}
	e.until = day.AddDate(0, 0, 1)
	return nil
}

// knownMethods are those of RFC 9110 and RFC 5789.
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
		return errors.New("methods= names no method; write them like methods=GET,HEAD or methods=GET+HEAD")
	}
	return nil
}

func isMethodSeparator(c rune) bool {
	return c == ',' || c == '+'
}
