package immichaccess

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
	"time"
)

// digests is a set of SHA-256 digests of keys.
type digests map[[sha256.Size]byte]bool

// keyring looks up keys. Keys are compared by digest: the time that takes depends neither on how much of a key is correct nor on
// how many keys there are.
type keyring struct {
	header       string // canonical
	stripHeader  string // the header to remove from authorized requests; "" with forwardKey
	nameHeader   string
	nameVariants []string // of nameHeader, which a client could send
	required     bool
	log          *denialLog
	file         *keyFile     // nil: the keys do not change
	set          atomic.Value // *keySet: empty if no key is required
	unrestricted atomic.Value // digests: the keys that need no further check
}

func newKeyring(s *settings, log *denialLog) *keyring {
	k := &keyring{header: s.keyHeader, nameHeader: s.keyNameHeader, required: s.requireKey, log: log, file: s.keysFile}
	if !s.forwardKey {
		k.stripHeader = k.header
	}
	if k.nameHeader != "" {
		k.nameVariants = underscoreVariants(k.nameHeader)
	}
	k.publish(s.keys)
	return k
}

func (k *keyring) publish(set *keySet) {
	k.log.warnOfKeys(set)
	if !k.required {
		set = newKeySet()
	}
	unrestricted := digests{}
	for digest, e := range set.byDigest {
		unrestricted[digest] = k.nameHeader == "" && e.isUnrestricted()
	}
	k.set.Store(set)
	k.unrestricted.Store(unrestricted)
	outdateCookies()
}

// watch publishes the keys again when the file changes, until ctx is done. It uses a timer instead of a goroutine, so that
// there is nothing to stop.
func (k *keyring) watch(ctx context.Context) {
	if k.file != nil {
		time.AfterFunc(pollInterval, func() { k.poll(ctx) })
	}
}

func (k *keyring) poll(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	set, err := k.file.poll()
	if err != nil {
		k.log.warn(fmt.Sprintf("keysFile: %v; the keys stay as they were", err))
	}
	if set != nil {
		k.publish(set)
		k.log.warn(fmt.Sprintf("keysFile: %s has changed; there are %d keys now", k.file.path, len(set.byDigest)))
	}
	k.watch(ctx)
}

// checked reports whether requests have to be checked for a key.
func (k *keyring) checked() bool {
	return k.required || k.nameHeader != ""
}

// admits reports whether the request's one key, which is not among unrestricted, is valid, and sets keyNameHeader. Why it is not is
// left to authorize.
func (k *keyring) admits(r *http.Request) bool {
	e := k.set.Load().(*keySet).byDigest[sha256.Sum256([]byte(r.Header[k.header][0]))]
	if e == nil || forbids(e, r) != nil {
		return false
	}
	if k.nameHeader != "" {
		k.setNameHeader(r, e.name)
	}
	return true
}

// setNameHeader sets keyNameHeader, if there is one, to the name of the key, and removes what the client sent in it.
func (k *keyring) setNameHeader(r *http.Request, name string) {
	for _, variant := range k.nameVariants {
		delete(r.Header, variant)
	}
	if k.nameHeader != "" && name != "" {
		r.Header[k.nameHeader] = []string{name}
	}
}

// authorize returns the entry of the request's key or, without a key, of its session, or why it is denied.
func (k *keyring) authorize(r *http.Request, s *session) (*entry, *denial) {
	e, denied := k.identify(r.Header[k.header], s)
	if denied == nil {
		denied = forbids(e, r)
	}
	return e, denied
}

func (k *keyring) identify(key []string, s *session) (*entry, *denial) {
	switch {
	case len(key) > 0 || s == nil:
		return k.lookup(key)
	case s.entry == nil:
		return nil, &denial{reason: sessionEnded}
	}
	return s.entry, nil
}

// lookup returns the entry of a key. Blanks around the key are ignored: over HTTP/1.1 net/http has trimmed them, over HTTP/2
// and HTTP/3 it has not.
func (k *keyring) lookup(values []string) (*entry, *denial) {
	if len(values) == 0 {
		return nil, &denial{reason: noKey}
	}
	if len(values) > 1 {
		return nil, &denial{reason: "several keys"}
	}
	digest := sha256.Sum256([]byte(strings.Trim(values[0], " \t")))
	e := k.set.Load().(*keySet).byDigest[digest]
	if e == nil {
		return nil, &denial{reason: "wrong key", wrong: true, digest: digest}
	}
	return e, nil
}

func (k *keyring) byName(name string) *entry {
	return k.set.Load().(*keySet).byName[name]
}

// KeyNames returns the sorted names of the keys of Keys and KeysFile: those that are valid, and those that have expired. It is
// for programs that report which keys are in effect. The error lists every invalid entry, and contains no secret.
func KeyNames(config *Config) (valid, expired []string, err error) {
	var errs problems
	s := &settings{}
	s.parseKeys(config, &errs)
	for name, e := range s.keys.byName {
		if isExpired(e) {
			expired = append(expired, name)
		} else {
			valid = append(valid, name)
		}
	}
	sort.Strings(valid)
	sort.Strings(expired)
	return valid, expired, errs.err("")
}
